//! Images that cannot be had.

use std::time::Duration;

use serde_json::json;

use crate::lab;

#[test]
fn an_image_that_does_not_exist_is_tried_again_ever_more_slowly() {
    lab::run(1, 1, |lab| async move {
        lab.container("web", "nginx:missing", json!({})).await;
        let mut reasons = Vec::new();
        for _ in 0..200 {
            let pod = lab.get("web").await;
            let waiting = &pod["status"]["containerStatuses"][0]["state"]["waiting"];
            let reason = waiting["reason"].as_str().unwrap_or_default().to_owned();
            if reasons.last() != Some(&reason) {
                reasons.push(reason);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(reasons, ["ContainerCreating", "ErrImagePull", "ImagePullBackOff"]);
        let error = "rpc error: code = NotFound desc = failed to pull and unpack image \
                     \"docker.io/library/nginx:missing\": failed to resolve reference \
                     \"docker.io/library/nginx:missing\": docker.io/library/nginx:missing: not found";
        let waiting = &lab.get("web").await["status"]["containerStatuses"][0]["state"]["waiting"];
        assert_eq!(
            waiting["message"],
            json!(format!("Back-off pulling image \"nginx:missing\": ErrImagePull: {error}"))
        );
        let expected = [
            "Pulling: Pulling image \"nginx:missing\"",
            &format!("Failed: Failed to pull image \"nginx:missing\": {error}"),
            "Failed: Error: ErrImagePull",
            "BackOff: Back-off pulling image \"nginx:missing\"",
            "Failed: Error: ImagePullBackOff",
        ];
        assert_eq!(lab.events("web").await[1..], expected);
        tokio::time::sleep(Duration::from_secs(1200)).await;
        let pulls: Vec<u64> = lab.records("PullImage").iter().map(|record| record.at.as_secs()).collect();
        let waits: Vec<u64> = pulls.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert_eq!(waits[..6], [10, 20, 40, 80, 160, 300]);
    });
}

#[test]
fn an_image_is_pulled_as_its_policy_says() {
    lab::run(1, 1, |lab| async move {
        lab.container("never", "nginx:1.27", json!({"imagePullPolicy": "Never"})).await;
        lab.until("it cannot start", async |lab| {
            let waiting = &lab.get("never").await["status"]["containerStatuses"][0]["state"]["waiting"];
            waiting["reason"] == "ErrImageNeverPull"
        })
        .await;
        lab.container("first", "nginx:1.27", json!({})).await;
        lab.until_ready("first").await;
        lab.container("second", "nginx:1.27", json!({})).await;
        lab.until_ready("second").await;
        let present = "Pulled: Container image \"nginx:1.27\" already present on machine";
        assert_eq!(lab.events("second").await[1], present);
        lab.container("bad", "Nginx", json!({})).await;
        lab.until("the name is refused", async |lab| {
            let waiting = &lab.get("bad").await["status"]["containerStatuses"][0]["state"]["waiting"];
            waiting["reason"] == "InvalidImageName"
        })
        .await;
    });
}
