//! What a running lab does, for the lab's page in the book: server-sent events under `/live/LAB`. `checks` tells how
//! every check stands, as `labkit check --json` does; `diagram` has the messages so far as a mermaid text; `idle` says
//! that the lab does not run, or no longer. Whoever watches a page watches the lab as `labkit watch` does.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::os::unix::net::UnixStream as HostStream;
use std::time::Duration;

use futures::stream::{self, Stream, StreamExt};
use labkit_book::Language;
use labkit_lab::{Query, Report};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use warp::sse::Event;
use warp::{Filter, Rejection, Reply};

use crate::control::replies::News;
use crate::control::{self, Request};
use crate::state::{LabState, State, with_socket};

/// How often it is looked whether a lab runs.
const LOOK: Duration = Duration::from_secs(1);

/// The least time between two checks: within 200 ms a page shows what happened.
const REST: Duration = Duration::from_millis(80);

/// The least time between two diagrams.
const REST_OF_DIAGRAM: Duration = Duration::from_secs(1);

/// `GET /live/LAB?lang=ko`, asked from this machine: another site's page may lead a browser here by name.
pub fn events() -> impl Filter<Extract = (impl Reply,), Error = Rejection> + Clone {
    let host = warp::header::<String>("host").and_then(|host: String| async move {
        let name = host.rsplit_once(':').map_or(host.as_str(), |(name, _)| name);
        match ["127.0.0.1", "localhost", "[::1]"].contains(&name) {
            true => Ok(()),
            false => Err(warp::reject::not_found()),
        }
    });
    let host = host.untuple_one();
    let language = warp::query::<BTreeMap<String, String>>();
    let asked = warp::path!("live" / String).and(warp::get()).and(host).and(language);
    asked.map(|lab: String, query: BTreeMap<String, String>| {
        let language = Language::of_tag(query.get("lang").map_or("en", String::as_str));
        warp::sse::reply(warp::sse::keep_alive().interval(LOOK * 5).stream(followed(lab, language)))
    })
}

/// What happens in a lab, for as long as somebody listens: following it is part of the stream, and ends with it.
fn followed(lab: String, language: Language) -> impl Stream<Item = Result<Event, Infallible>> + Send {
    let (told, events) = channel(8);
    let events = stream::unfold(events, |mut events: Receiver<Event>| async move {
        Some((Ok(events.recv().await?), events))
    });
    let work = stream::once(async move { follow(&lab, language, &told).await });
    stream::select(events, work.filter_map(|_| std::future::ready(None)))
}

/// The page went away.
struct Closed;

async fn tell(told: &Sender<Event>, kind: &str, data: &Value) -> Result<(), Closed> {
    told.send(Event::default().event(kind).data(data.to_string())).await.map_err(|_| Closed)
}

async fn follow(lab: &str, language: Language, told: &Sender<Event>) -> Result<Infallible, Closed> {
    let mut was_told = false;
    loop {
        if let Some(lab) = running(lab) {
            while_it_runs(&lab, language, told).await?;
            was_told = false;
        }
        if !was_told {
            tell(told, "idle", &json!({})).await?;
            was_told = true;
        }
        tokio::select! {
            biased;
            () = told.closed() => return Err(Closed),
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}

fn running(lab: &str) -> Option<LabState> {
    State::open().ok()?.running().into_iter().find(|running| running.name == lab)
}

/// Tells news until the lab ends, or is begun anew.
async fn while_it_runs(lab: &LabState, language: Language, told: &Sender<Event>) -> Result<(), Closed> {
    let (mut after, mut checks, mut diagram) = (None, Value::Null, String::new());
    let mut drawn: Option<tokio::time::Instant> = None;
    loop {
        let request = Request::News { after };
        let news = tokio::select! {
            biased;
            () = told.closed() => return Err(Closed),
            news = ask::<News>(lab, &request) => news,
        };
        let Some(news) = news else { return Ok(()) };
        after = Some(news.news);
        let now = json!({"paused": news.paused, "checked": news.checked});
        if now != checks {
            tell(told, "checks", &now).await?;
            checks = now;
        }
        if drawn.is_none_or(|drawn| drawn.elapsed() >= REST_OF_DIAGRAM) {
            let Some(report) = ask::<Report>(lab, &Request::Timeline { query: Query::default() }).await
            else {
                return Ok(());
            };
            let mermaid = labkit_book::diagram_of_run(&report, language);
            drawn = Some(tokio::time::Instant::now());
            if mermaid != diagram {
                let messages = report.timeline.len();
                tell(told, "diagram", &json!({ "mermaid": mermaid, "messages": messages })).await?;
                diagram = mermaid;
            }
        }
        tokio::time::sleep(REST.max(Duration::from_millis(news.took_ms) * 2)).await;
    }
}

/// What the lab answers; nothing when it ends meanwhile.
async fn ask<T: DeserializeOwned>(lab: &LabState, request: &Request) -> Option<T> {
    let stream = with_socket(lab, |path| HostStream::connect(path)).ok()?;
    stream.set_nonblocking(true).ok()?;
    let (read, mut write) = UnixStream::from_std(stream).ok()?.into_split();
    let mut line = serde_json::to_vec(request).ok()?;
    line.push(b'\n');
    write.write_all(&line).await.ok()?;
    let line = BufReader::new(read).lines().next_line().await.ok()??;
    match serde_json::from_str(&line).ok()? {
        control::Reply::Done(value) => serde_json::from_value(value).ok(),
        control::Reply::Progress { .. } | control::Reply::Failed { .. } => None,
    }
}
