//! Segments back into a log. Pure: the same for the disks of a world, for real files, and for a fuzzer's.

use std::collections::VecDeque;

use openraft::Vote;
use serde::de::DeserializeOwned;

use super::frame::{self, Frame};
use super::writer::{Head, Kind};
use super::{Identity, WalError, parse_name};
use crate::raft::{Entry, LogId};

/// What the segments say.
#[derive(Debug)]
pub(crate) struct Replayed {
    pub identity: Identity,
    pub vote: Vote<u64>,
    pub committed: Option<LogId>,
    pub purged: Option<LogId>,
    /// The entries from the one after `purged` on.
    pub entries: VecDeque<Entry>,
    pub torn: Option<Torn>,
    /// The number of each segment, and the index at which it begins.
    pub segments: VecDeque<(u64, u64)>,
    /// What the next record's checksums go on from.
    pub chain: u32,
    /// Bytes of the last segment.
    pub length: usize,
}

/// The end of the last segment, when a record there was not written to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Torn {
    pub file: String,
    /// From here on the file is to be cut off; all of it goes when that is 0.
    pub offset: u64,
    pub bytes: u64,
}

/// `None` when there is nothing yet: no segment, or a first one that was never finished.
pub(super) fn replay(segments: Vec<(String, Vec<u8>)>) -> Result<Option<Replayed>, WalError> {
    let mut log: Option<Replayed> = None;
    // The entries before it are not in the segments that are left.
    let mut base = 0;
    let last = segments.len().saturating_sub(1);
    for (place, (file, bytes)) in segments.iter().enumerate() {
        let corrupt =
            |offset: usize, what| WalError::Corrupt { file: file.clone(), offset: offset as u64, what };
        let (number, index) = parse_name(file, ".wal").ok_or(corrupt(0, "this is no segment's name"))?;
        let (mut at, mut chain, mut begun) = (0, 0, false);
        let torn = loop {
            let (body, next, chained) = match frame::read(bytes, at, chain) {
                Frame::Record { body, next, chain } => (body, next, chain),
                Frame::End if begun || place == last => break false,
                Frame::Torn if place == last => break true,
                Frame::End | Frame::Torn => return Err(corrupt(at, "the segment is cut short")),
                Frame::Corrupt(what) => return Err(corrupt(at, what)),
            };
            let (kind, content) = Kind::of(body).ok_or(corrupt(at, "the record's kind is unknown"))?;
            if begun == (kind == Kind::Head) {
                return Err(corrupt(at, "a segment has one head, at its beginning"));
            }
            if kind == Kind::Head {
                let head: Head = parse(content).ok_or(corrupt(at, UNREADABLE))?;
                if head.next != index || head.purged.is_some_and(|purged| purged.index == u64::MAX) {
                    return Err(corrupt(at, "the head does not fit the segment's name"));
                }
                match &log {
                    None => {
                        base = head.next;
                        log = Some(Replayed::begin(head, number));
                    }
                    Some(log) if !log.continues_with(&head, number) => {
                        return Err(corrupt(at, "the segment does not go on from the one before"));
                    }
                    Some(_) => {}
                }
                begun = true;
            } else if let Some(log) = &mut log {
                log.take(kind, content, &mut base).map_err(|what| corrupt(at, what))?;
            }
            (at, chain) = (next, chained);
        };
        let Some(log) = &mut log else { return Ok(None) };
        if torn || !begun {
            log.torn = Some(Torn { file: file.clone(), offset: at as u64, bytes: (bytes.len() - at) as u64 });
        }
        if begun {
            if log.segments.back() != Some(&(number, index)) {
                log.segments.push_back((number, index));
            }
            (log.chain, log.length) = (chain, at);
        }
    }
    let Some(log) = log else { return Ok(None) };
    if log.first_index() < base {
        let file = segments.first().map_or_else(String::new, |(file, _)| file.clone());
        return Err(WalError::Corrupt { file, offset: 0, what: "the segment before it is missing" });
    }
    Ok(Some(log))
}

const UNREADABLE: &str = "the record cannot be read";

fn parse<T: DeserializeOwned>(content: &[u8]) -> Option<T> {
    match postcard::take_from_bytes(content) {
        Ok((value, [])) => Some(value),
        _ => None,
    }
}

impl Replayed {
    fn begin(head: Head, number: u64) -> Replayed {
        Replayed {
            identity: head.identity,
            vote: head.vote,
            committed: head.committed,
            purged: head.purged,
            entries: VecDeque::new(),
            torn: None,
            segments: VecDeque::from([(number, head.next)]),
            chain: 0,
            length: 0,
        }
    }

    fn first_index(&self) -> u64 {
        self.purged.map_or(0, |purged| purged.index + 1)
    }

    fn continues_with(&self, head: &Head, number: u64) -> bool {
        let expected = self.segments.back().and_then(|(number, _)| number.checked_add(1));
        expected == Some(number) && head.identity == self.identity && head.chain == self.chain
    }

    /// Takes one record in. The error says what is wrong with it.
    fn take(&mut self, kind: Kind, content: &[u8], base: &mut u64) -> Result<(), &'static str> {
        match kind {
            Kind::Head => {}
            Kind::Vote => self.vote = parse(content).ok_or(UNREADABLE)?,
            Kind::Committed => self.committed = parse(content).ok_or(UNREADABLE)?,
            Kind::Entry => {
                let entry: Entry = parse(content).ok_or(UNREADABLE)?;
                let after_last = self.entries.back().map(|last| last.log_id.index.checked_add(1));
                let next = after_last.unwrap_or(Some(self.first_index().max(*base)));
                if next != Some(entry.log_id.index) {
                    return Err("the entry does not follow the one before");
                }
                self.entries.push_back(entry);
            }
            Kind::Truncate => {
                let from: u64 = parse(content).ok_or(UNREADABLE)?;
                while self.entries.back().is_some_and(|last| last.log_id.index >= from) {
                    self.entries.pop_back();
                }
                if self.entries.is_empty() {
                    *base = (*base).min(from);
                }
            }
            Kind::Purge => {
                let upto: LogId = parse(content).ok_or(UNREADABLE)?;
                while self.entries.front().is_some_and(|first| first.log_id.index <= upto.index) {
                    self.entries.pop_front();
                }
                if upto.index == u64::MAX || self.purged > Some(upto) {
                    return Err("the purge goes back");
                }
                self.purged = Some(upto);
            }
        }
        Ok(())
    }
}
