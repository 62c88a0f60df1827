//! `labkit watch`: checks again whenever something happens, and shows what is done, what not yet, and why.

mod view;

use std::os::unix::net::UnixStream as HostStream;
use std::task::Poll;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::arguments::LiveArguments;
use crate::commands::live::of_this_version;
use crate::control::replies::{Checked, News};
use crate::control::{Reply, Request, choose};
use crate::failure::{Exit, Failure, Outcome};
use crate::screen::{Screen, say};
use crate::state::{LabState, with_socket};
use view::View;

/// The least time between two checks: together with the check itself well under 200 ms.
const REST: Duration = Duration::from_millis(80);

/// Checks take at most this part of the time: one in so many.
const REST_PER_CHECK: u32 = 2;

/// How long a lab that does not answer may take to come back, as after a reset.
const COMES_BACK_AFTER: Duration = Duration::from_millis(50);

pub fn run(screen: &Screen, arguments: &LiveArguments) -> Outcome {
    let lab = choose(screen, arguments.which.name.as_deref())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::failed(format!("cannot watch: {error}")))?;
    runtime.block_on(watch(screen, &lab))
}

/// Why watching is over.
enum Over {
    Left,
    LabEnded,
    AllDone,
}

async fn watch(screen: &Screen, lab: &LabState) -> Outcome {
    let mut hands = Hands::listen()?;
    let mut view = View::open(screen);
    let mut last: Option<Checked> = None;
    let mut after = None;
    let over = loop {
        let news = match heard(lab, after, &mut hands, &mut view).await? {
            Heard::News(news) => news,
            Heard::Silence if lab.is_running() => {
                // A reset, perhaps: whatever is there then is news.
                after = None;
                tokio::time::sleep(COMES_BACK_AFTER).await;
                continue;
            }
            Heard::Silence => break Over::LabEnded,
            Heard::Leave => break Over::Left,
        };
        after = Some(news.news);
        let is_done = news.checked.current_task.is_none();
        let rest = REST.max(Duration::from_millis(news.took_ms) * REST_PER_CHECK);
        view.show(&news);
        last = Some(news.checked);
        if is_done {
            break Over::AllDone;
        }
        if hands.leave_within(rest, &mut view).await {
            break Over::Left;
        }
    };
    drop(view);
    Ok(farewell(&screen.measured(), &over, last.as_ref()))
}

enum Heard {
    News(News),
    /// The lab ended, or is being reset.
    Silence,
    Leave,
}

/// Waits for news, redrawing and leaving as the person at the terminal wants it.
async fn heard(
    lab: &LabState,
    after: Option<u64>,
    hands: &mut Hands,
    view: &mut View<'_>,
) -> Result<Heard, Failure> {
    let mut asked = std::pin::pin!(ask(lab, after));
    loop {
        tokio::select! {
            biased;
            hand = hands.act() => match hand {
                Hand::Leaves => return Ok(Heard::Leave),
                Hand::Resized => view.redraw(),
            },
            reply = &mut asked => return match reply {
                Ok(reply) => reply_to(lab, reply),
                Err(_) => Ok(Heard::Silence),
            },
        }
    }
}

fn reply_to(lab: &LabState, reply: Option<Reply>) -> Result<Heard, Failure> {
    match reply {
        Some(Reply::Done(value)) => of_this_version(lab, value).map(Heard::News),
        Some(Reply::Failed { exit, message, next }) => {
            Err(Failure { exit, message, next, diagnostics: Vec::new() })
        }
        Some(Reply::Progress { .. }) | None => Ok(Heard::Silence),
    }
}

async fn ask(lab: &LabState, after: Option<u64>) -> std::io::Result<Option<Reply>> {
    let stream = with_socket(lab, |path| HostStream::connect(path))?;
    stream.set_nonblocking(true)?;
    let (read, mut write) = UnixStream::from_std(stream)?.into_split();
    let mut line = serde_json::to_vec(&Request::News { after })?;
    line.push(b'\n');
    write.write_all(&line).await?;
    let line = BufReader::new(read).lines().next_line().await?;
    Ok(line.map(|line| serde_json::from_str(&line)).transpose()?)
}

fn farewell(screen: &Screen, over: &Over, last: Option<&Checked>) -> Exit {
    let exit = match last {
        Some(checked) if !checked.bugs.is_empty() => Exit::Bug,
        Some(checked) if checked.points == checked.points_max => Exit::Passed,
        _ => Exit::Failed,
    };
    if screen.json {
        return exit;
    }
    if let Some(checked) = last {
        screen.print(&super::check::points(screen, checked));
    }
    let text = match over {
        Over::Left => say!(
            screen.language,
            "The lab goes on. labkit watch shows it again; labkit stop ends it.",
            "실습은 계속됩니다. 다시 보려면 labkit watch, 끝내려면 labkit stop."
        ),
        Over::LabEnded => say!(
            screen.language,
            "The lab has ended. labkit timeline tells what happened.",
            "실습이 끝났습니다. 일어난 일은 labkit timeline 이 보여 줍니다."
        ),
        Over::AllDone => say!(
            screen.language,
            "All done. labkit submit writes what you did; labkit stop ends the lab.",
            "모두 끝났습니다. labkit submit 은 한 일을 제출물로 쓰고, labkit stop 은 실습을 끝냅니다."
        ),
    };
    screen.print_prose("", &text);
    exit
}

/// The person at the terminal.
struct Hands {
    ends: Vec<Signal>,
    resized: Signal,
}

impl Hands {
    fn listen() -> Result<Hands, Failure> {
        let ends = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
        let listen = || -> std::io::Result<Hands> {
            let ends = ends.into_iter().map(signal).collect::<Result<_, _>>()?;
            Ok(Hands { ends, resized: signal(SignalKind::window_change())? })
        };
        listen().map_err(|error| Failure::failed(format!("cannot listen for Ctrl-C: {error}")))
    }

    /// Waits for what the person does next.
    async fn act(&mut self) -> Hand {
        std::future::poll_fn(|context| {
            let mut came = |signal: &mut Signal| signal.poll_recv(context).is_ready();
            if self.ends.iter_mut().any(&mut came) {
                return Poll::Ready(Hand::Leaves);
            }
            if came(&mut self.resized) { Poll::Ready(Hand::Resized) } else { Poll::Pending }
        })
        .await
    }

    /// Whether the person leaves within that time.
    async fn leave_within(&mut self, time: Duration, view: &mut View<'_>) -> bool {
        let deadline = tokio::time::Instant::now() + time;
        loop {
            tokio::select! {
                biased;
                hand = self.act() => match hand {
                    Hand::Leaves => return true,
                    Hand::Resized => view.redraw(),
                },
                () = tokio::time::sleep_until(deadline) => return false,
            }
        }
    }
}

/// What a person does.
enum Hand {
    /// Ctrl-C, or the terminal ends.
    Leaves,
    Resized,
}
