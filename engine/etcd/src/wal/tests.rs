//! Logs that are cut and flipped at every byte, lose power at any moment, and live in a world or in a directory.

use std::collections::BTreeMap;
use std::path::PathBuf;

use openraft::storage::{RaftLogReader, RaftLogStorage, RaftLogStorageExt};
use openraft::{CommittedLeaderId, EntryPayload, Vote};
use rand::Rng;

use super::*;
use crate::api::PutRequest;
use crate::raft::log::Log;
use crate::raft::{Command, Entry, Node, Proposal};

const IDENTITY: Identity = Identity { member_id: 1, cluster_id: 2 };

fn log_id(term: u64, index: u64) -> LogId {
    LogId::new(CommittedLeaderId::new(term, 1), index)
}

fn entry(term: u64, index: u64, value: &str) -> Entry {
    let command = Command::Put(PutRequest::new(format!("key/{index}"), value.to_owned()));
    let proposal = Proposal { id: index, command, asker: None, cause: None };
    Entry { log_id: log_id(term, index), payload: EntryPayload::Normal(std::sync::Arc::new(vec![proposal])) }
}

fn files(disk: &labkit_sim::Disk) -> Vec<(String, Vec<u8>)> {
    disk.files(SEGMENTS).into_iter().map(|file| (file.clone(), disk.read(&file))).collect()
}

/// One segment with a record of every kind, and where each record ends.
fn small_log() -> (labkit_sim::Disk, Vec<usize>) {
    let disk = labkit_sim::Disk::default();
    let mut wal = Wal::create(Disk::Simulated(disk.clone()), IDENTITY);
    let mut ends = Vec::new();
    let mut end = |wal: &mut Wal| {
        wal.write().unwrap();
        ends.push(disk.read(&wal.file()).len());
    };
    end(&mut wal);
    for index in 0..4 {
        wal.entry(&entry(1, index, "blue"));
        end(&mut wal);
    }
    wal.vote(Vote::new(2, 1));
    end(&mut wal);
    wal.truncate(3);
    end(&mut wal);
    wal.entry(&entry(2, 3, "red"));
    end(&mut wal);
    wal.committed(Some(log_id(2, 3)));
    end(&mut wal);
    wal.purge(log_id(1, 0));
    end(&mut wal);
    (disk, ends)
}

#[track_caller]
fn is_corrupt(segments: Vec<(String, Vec<u8>)>, file: &str, offset: u64) {
    match read_segments(segments) {
        Err(WalError::Corrupt { file: f, offset: o, .. }) => assert_eq!((f.as_str(), o), (file, offset)),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_log_that_is_cut_at_any_byte_has_the_records_before_the_cut() {
    let (disk, ends) = small_log();
    let (file, bytes) = files(&disk).remove(0);
    let entries_after = [0, 1, 2, 3, 4, 4, 3, 4, 4, 3];
    for cut in 0..=bytes.len() {
        let read = read_segments(vec![(file.clone(), bytes[..cut].to_vec())]).unwrap();
        let whole = ends.iter().filter(|end| **end <= cut).count();
        let Some(last) = whole.checked_sub(1) else {
            assert_eq!(read, None, "{cut}");
            continue;
        };
        let summary = read.unwrap();
        assert_eq!(summary.entries, entries_after[last], "{cut}");
        assert_eq!(summary.torn_bytes, (cut - ends[last]) as u64, "{cut}");
    }
}

#[test]
fn a_byte_that_is_flipped_anywhere_is_named_with_its_file_and_record() {
    let (disk, ends) = small_log();
    let (file, bytes) = files(&disk).remove(0);
    for at in 0..bytes.len() {
        let record = ends.iter().rev().find(|end| **end <= at).copied().unwrap_or(0);
        for flipped in
            [bytes[at] ^ 0x01, bytes[at] ^ 0x80, !bytes[at], 0].into_iter().filter(|b| *b != bytes[at])
        {
            let mut bytes = bytes.clone();
            bytes[at] = flipped;
            is_corrupt(vec![(file.clone(), bytes)], &file, record as u64);
        }
    }
}

#[test]
fn sectors_that_were_never_written_are_a_torn_tail() {
    let disk = labkit_sim::Disk::default();
    let mut wal = Wal::create(Disk::Simulated(disk.clone()), IDENTITY);
    wal.entry(&entry(1, 0, "blue"));
    wal.write().unwrap();
    let whole = disk.read(&wal.file()).len();
    wal.entry(&entry(1, 1, &"x".repeat(2000)));
    wal.write().unwrap();
    let (file, bytes) = files(&disk).remove(0);
    let small = [&bytes[..whole], &[0; 20]].concat();
    assert_eq!(read_segments(vec![(file.clone(), small)]).unwrap().unwrap().torn_bytes, 20);
    for written in [whole, 512, 1024, 1536] {
        let mut torn = bytes.clone();
        torn[written..].fill(0);
        let summary = read_segments(vec![(file.clone(), torn.clone())]).unwrap().unwrap();
        assert_eq!((summary.entries, summary.torn_bytes), (1, (bytes.len() - whole) as u64), "{written}");
        // That hides no damage before it.
        for at in 0..whole {
            let mut flipped = torn.clone();
            flipped[at] ^= 0x20;
            assert!(read_segments(vec![(file.clone(), flipped)]).is_err(), "{written}, {at}");
        }
    }
}

/// Three segments, and the entries of each.
async fn three_segments() -> labkit_sim::Disk {
    let disk = labkit_sim::Disk::default();
    let mut wal = Wal::create(Disk::Simulated(disk.clone()), IDENTITY);
    for index in 0..6 {
        if index > 0 && index % 2 == 0 {
            wal.begin_segment(index);
        }
        wal.entry(&entry(1, index, "blue"));
        wal.write().unwrap();
    }
    disk
}

#[tokio::test]
async fn only_the_last_segment_may_be_torn_and_none_may_be_missing() {
    let segments = files(&three_segments().await);
    assert_eq!(read_segments(segments.clone()).unwrap().unwrap().entries, 6);
    for cut in 0..segments[1].1.len() {
        let mut segments = segments.clone();
        segments[1].1.truncate(cut);
        assert!(read_segments(segments).is_err(), "{cut}");
    }
    for missing in [0, 1] {
        let mut segments = segments.clone();
        segments.remove(missing);
        assert!(read_segments(segments).is_err(), "{missing}");
    }
    let mut moved = segments.clone();
    (moved[0].1, moved[1].1) = (segments[1].1.clone(), segments[0].1.clone());
    assert!(read_segments(moved).is_err());
    let mut without_a_head = segments.clone();
    without_a_head[2].1.truncate(5);
    assert_eq!(read_segments(without_a_head).unwrap().unwrap().entries, 4, "it had only just begun");
}

#[tokio::test]
async fn a_segment_that_had_only_begun_is_removed_and_written_anew() {
    let disk = three_segments().await;
    let last = disk.files(SEGMENTS).pop().unwrap();
    disk.truncate(&last, 5);
    let (mut wal, log) = Wal::open(Disk::Simulated(disk.clone())).await.unwrap().unwrap();
    assert_eq!(log.torn.unwrap(), Torn { file: last.clone(), offset: 0, bytes: 5 });
    wal.begin_segment(4);
    wal.entry(&entry(1, 4, "red"));
    wal.write().unwrap();
    assert_eq!(disk.files(SEGMENTS).pop().unwrap(), last);
    assert_eq!(read_segments(files(&disk)).unwrap().unwrap().entries, 5);
}

/// A log on a disk beside what it should hold.
struct Model {
    log: Log,
    entries: BTreeMap<u64, Entry>,
    purged: Option<LogId>,
    vote: Vote<u64>,
}

impl Model {
    async fn open(disk: Disk) -> Model {
        let founders = BTreeMap::from([(1, Node::default())]);
        let mut log = Log::open(disk, IDENTITY, Some(founders)).await.unwrap().log;
        let entries = log.try_get_log_entries(..).await.unwrap();
        let entries = entries.into_iter().map(|entry| (entry.log_id.index, entry)).collect();
        log.set_segment_bytes_max(1500);
        Model { log, entries, purged: None, vote: Vote::new(1, 0) }
    }

    fn next(&self) -> u64 {
        let after_purged = self.purged.map_or(0, |purged| purged.index + 1);
        self.entries.keys().next_back().map_or(after_purged, |last| last + 1)
    }

    async fn step(&mut self, rng: &mut impl Rng) {
        let term = self.vote.leader_id.term;
        match rng.gen_range(0..10) {
            0 => {
                self.vote = Vote::new(term + 1, rng.gen_range(1..4));
                self.log.save_vote(&self.vote).await.unwrap();
            }
            1 if self.entries.len() > 1 => {
                let from = self.next() - rng.gen_range(1..self.entries.len() as u64);
                self.log.truncate(log_id(term, from)).await.unwrap();
                self.entries.split_off(&from);
            }
            2 if self.entries.len() > 1 => {
                let upto = self.next() - rng.gen_range(1..self.entries.len() as u64);
                let upto = self.entries[&upto].log_id;
                self.log.purge(upto).await.unwrap();
                self.entries = self.entries.split_off(&(upto.index + 1));
                self.purged = Some(upto);
            }
            3 => {
                let last = self.entries.values().next_back().map(|entry| entry.log_id);
                self.log.save_committed(last).await.unwrap();
            }
            _ => {
                let (from, count) = (self.next(), rng.gen_range(1..4));
                let value = "v".repeat(rng.gen_range(0..200));
                let new: Vec<Entry> = (from..from + count).map(|index| entry(term, index, &value)).collect();
                self.entries.extend(new.iter().map(|entry| (entry.log_id.index, entry.clone())));
                self.log.blocking_append(new).await.unwrap();
            }
        }
    }

    /// Opens the log again and compares. What was not synced, truncations and purges, may have been undone.
    async fn reopen(&mut self, disk: Disk, power_lost: bool) {
        self.log = Log::open(disk, IDENTITY, None).await.unwrap().log;
        self.log.set_segment_bytes_max(1500);
        let state = self.log.get_log_state().await.unwrap();
        let found = self.log.try_get_log_entries(..).await.unwrap();
        let found: BTreeMap<u64, Entry> =
            found.into_iter().map(|entry| (entry.log_id.index, entry)).collect();
        if power_lost {
            for (index, entry) in &self.entries {
                assert_eq!(found.get(index), Some(entry));
            }
            assert!(state.last_purged_log_id <= self.purged);
        } else {
            assert_eq!((&found, state.last_purged_log_id), (&self.entries, self.purged));
        }
        assert_eq!(self.log.read_vote().await.unwrap(), Some(self.vote));
        (self.entries, self.purged) = (found, state.last_purged_log_id);
    }
}

#[test]
fn a_log_on_a_simulated_disk_survives_kills_and_losses_of_power() {
    for seed in 0..50 {
        labkit_sim::run(labkit_sim::Pace::Virtual, seed, |world| async move {
            let (raw, mut rng) = (world.disk("etcd1"), world.seed().stream("steps"));
            let disk = Disk::Simulated(raw.clone());
            let mut model = Model::open(disk.clone()).await;
            for _ in 0..100 {
                model.step(&mut rng).await;
                if rng.gen_bool(0.1) {
                    let power_lost = rng.gen_bool(0.5);
                    if power_lost {
                        raw.power_loss();
                    }
                    model.reopen(disk.clone(), power_lost).await;
                }
            }
            assert!(!raw.files(SEGMENTS)[0].contains("0000000000000000-"), "old segments were removed");
        });
    }
}

#[cfg(feature = "grpc")]
#[tokio::test]
async fn a_log_in_a_directory_survives_restarts() {
    use labkit_sim::Seed;

    use super::directory::Directory;

    let folder = tempfile::tempdir().unwrap();
    let open = || Disk::Directory(Directory::open(folder.path()).unwrap());
    let mut rng = Seed(7).stream("steps");
    let mut model = Model::open(open()).await;
    assert!(Directory::open(folder.path()).is_err(), "the directory is in use");
    for _ in 0..20 {
        for _ in 0..5 {
            model.step(&mut rng).await;
        }
        model.log = Model::open(Disk::Simulated(labkit_sim::Disk::default())).await.log;
        model.reopen(open(), false).await;
    }
}

fn small_snapshot() -> Vec<u8> {
    let mut store = crate::mvcc::Store::new(2);
    for (key, value) in [("a", "1"), ("b", "2"), ("a", "3")] {
        let mut write = store.write(None);
        write.put(key.into(), value.into(), 0);
        write.end();
    }
    let meta = snapshot::Meta { last_log_id: Some(log_id(2, 9)), ..Default::default() };
    snapshot::close(&meta, &postcard::to_stdvec(&store.dump()).unwrap())
}

#[test]
fn a_snapshot_that_is_cut_or_flipped_at_any_byte_is_refused() {
    let bytes = small_snapshot();
    assert_eq!(read_snapshot("s", &bytes).unwrap(), 3);
    for at in 0..bytes.len() {
        assert!(read_snapshot("s", &bytes[..at]).is_err(), "{at}");
        let mut flipped = bytes.clone();
        flipped[at] ^= 0x04;
        assert!(read_snapshot("s", &flipped).is_err(), "{at}");
    }
}

fn corpus(target: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/fuzz/corpus").join(target)
}

/// What the fuzz targets feed to the readers. `LABKIT_BLESS=1` writes the corpus that they begin with.
#[test]
fn the_fuzzers_corpus_is_read_without_a_panic() {
    if std::env::var_os("LABKIT_BLESS").is_some() {
        let (disk, ends) = small_log();
        let (_, bytes) = files(&disk).remove(0);
        let mut flipped = bytes.clone();
        flipped[ends[2] + 20] ^= 1;
        for (name, content) in [
            ("whole", bytes.as_slice()),
            ("torn", &bytes[..bytes.len() - 3]),
            ("flipped", &flipped),
            ("garbage", b"\xff\xff\xff\xff no log at all"),
            ("empty", b""),
        ] {
            std::fs::create_dir_all(corpus("wal")).unwrap();
            std::fs::write(corpus("wal").join(name), [&[0], content].concat()).unwrap();
        }
        std::fs::write(corpus("wal").join("sealed"), sealed(&bodies(&bytes))).unwrap();
        let snapshot = small_snapshot();
        for (name, content) in [
            ("whole", snapshot.as_slice()),
            ("cut", &snapshot[..30]),
            ("garbage", b"LABSNAP1 no snapshot"),
            ("empty", b""),
        ] {
            std::fs::create_dir_all(corpus("snapshot")).unwrap();
            std::fs::write(corpus("snapshot").join(name), [&[0], content].concat()).unwrap();
        }
        std::fs::write(corpus("snapshot").join("sealed"), [&[1], &snapshot[12..]].concat()).unwrap();
    }
    let mut read = [0; 2];
    for (target, fuzz) in [fuzz::segment as fn(&[u8]), fuzz::snapshot].into_iter().enumerate() {
        for input in std::fs::read_dir(corpus(["wal", "snapshot"][target])).unwrap() {
            fuzz(&std::fs::read(input.unwrap().path()).unwrap());
            read[target] += 1;
        }
    }
    assert!(read.iter().all(|read| *read >= 4), "{read:?}");
}

/// The bodies of a segment's records.
fn bodies(bytes: &[u8]) -> Vec<Vec<u8>> {
    let (mut at, mut chain, mut bodies) = (0, 0, Vec::new());
    while let frame::Frame::Record { body, next, chain: chained } = frame::read(bytes, at, chain) {
        bodies.push(body.to_vec());
        (at, chain) = (next, chained);
    }
    bodies
}

/// Records as the fuzz target seals them.
fn sealed(bodies: &[Vec<u8>]) -> Vec<u8> {
    let record = |body: &Vec<u8>| [&[u8::try_from(body.len()).unwrap()], body.as_slice()].concat();
    std::iter::once(vec![1]).chain(bodies.iter().map(record)).collect::<Vec<_>>().concat()
}

/// A small fuzzer for every run: records and snapshots with some bytes changed, and checksums that are right.
#[test]
fn sealed_nonsense_is_read_without_a_panic() {
    let mut rng = labkit_sim::Seed(1).stream("fuzz");
    let (disk, _) = small_log();
    let bodies = bodies(&files(&disk).remove(0).1);
    assert_eq!(bodies.len(), 10);
    let snapshot = [&[1], &small_snapshot()[12..]].concat();
    for _ in 0..5_000 {
        let mut mutated = bodies.clone();
        let mut cut = snapshot.clone();
        for _ in 0..rng.gen_range(1..8) {
            // The head is spoilt seldom: without it nothing is read.
            let spares_the_head = rng.gen_bool(0.9);
            let body = rng.gen_range(usize::from(spares_the_head)..mutated.len());
            let at = rng.gen_range(0..mutated[body].len());
            mutated[body][at] = rng.r#gen();
            let at = rng.gen_range(1..cut.len());
            cut[at] = rng.r#gen();
        }
        fuzz::segment(&sealed(&mutated));
        cut.truncate(rng.gen_range(1..=2 * cut.len()));
        fuzz::snapshot(&cut);
    }
}
