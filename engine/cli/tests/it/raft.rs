//! `labkit raft`: the store in slow motion, from a terminal.

use crate::home::Home;
use crate::live::{client, has, start};

#[test]
fn a_put_is_delivered_message_by_message_while_time_stands() {
    let home = Home::new();
    let (ready, _) = start(&home, "kill-the-leader");
    let view = home.json(&["raft"]);
    assert!(view["held"] == false && view["members"].as_array().unwrap().len() == 3, "{view}");
    let refused = home.run(&["raft", "deliver"]).ends_with(2);
    assert!(refused.err.contains("are not held"), "{}", refused.err);

    assert_eq!(home.json(&["raft", "hold"])["held"], true);
    let stood = home.json(&["clock"]);
    assert_eq!(stood["paused"], true);
    if has("etcdctl") {
        let mut delivered = Vec::new();
        let put = std::thread::scope(|scope| {
            let put = scope.spawn(|| client(&ready, "etcdctl", "--command-timeout=60s put slowly 1"));
            while !put.is_finished() {
                let view = home.json(&["raft"]);
                if view["waiting"].as_array().unwrap().is_empty() {
                    std::thread::sleep(std::time::Duration::from_millis(20));
                    continue;
                }
                let view = home.json(&["raft", "deliver"]);
                delivered.push(view["delivered"][0]["message"]["kind"].as_str().unwrap().to_owned());
            }
            put.join().unwrap()
        });
        assert_eq!(put.unwrap(), "OK\n");
        assert!(delivered.iter().any(|kind| kind == "AppendEntriesResponse"), "{delivered:?}");
        assert_eq!(home.json(&["clock"])["elapsedMs"], stood["elapsedMs"], "time stood");
    }
    assert_eq!(home.json(&["raft", "release"])["held"], false);
    assert_eq!(home.json(&["clock"])["paused"], false);
    for (language, told) in [("en", "LAST INDEX"), ("ko", "마지막 인덱스")] {
        let shown = home.run(&["raft", "--lang", language]).ends_with(0);
        assert!(shown.out.contains(told), "{}", shown.out);
    }
    home.json(&["stop"]);
}
