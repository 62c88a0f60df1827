//! How many files the process may have open: each connection and each watch is one.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::screen::{Screen, say};

/// Below this, a class of clients or a few thousand watches would be turned away.
const WANTED: u64 = 16_384;

/// Raises the soft limit to the hard one, and says what to do where that is low.
pub fn raise(screen: &Screen) {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return };
    // What the host refuses stays as it was.
    let raised = soft >= hard || setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_ok();
    let limit = if raised { hard.max(soft) } else { soft };
    if let Some(advice) = advice(screen, limit) {
        eprintln!("{advice}");
    }
}

fn advice(screen: &Screen, limit: u64) -> Option<String> {
    (limit < WANTED).then(|| {
        say!(
            screen.language,
            "only {} files may be open at once, which limits clients and watches; ulimit -n {} in this shell raises it",
            "한 번에 열 수 있는 파일이 {}개뿐이라 클라이언트와 감시의 수가 제한됩니다. 이 셸에서 ulimit -n {} 로 늘리세요",
            limit,
            WANTED
        )
    })
}
