//! etcd's errors: gRPC code and text, word for word. Counterpart of `api/v3rpc/rpctypes/error.go`.

/// The codes of gRPC that etcd answers with, under their numbers on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    Unknown = 2,
    InvalidArgument = 3,
    DeadlineExceeded = 4,
    NotFound = 5,
    ResourceExhausted = 8,
    FailedPrecondition = 9,
    OutOfRange = 11,
    Unavailable = 14,
}

/// Why a request failed. `Display` gives the text that etcdctl prints after `Error: `.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EtcdError {
    #[error("etcdserver: key is not provided")]
    EmptyKey,
    #[error("etcdserver: key not found")]
    KeyNotFound,
    #[error("etcdserver: value is provided")]
    ValueProvided,
    #[error("etcdserver: lease is provided")]
    LeaseProvided,
    #[error("etcdserver: too many operations in txn request")]
    TooManyOps,
    #[error("etcdserver: duplicate key given in txn request")]
    DuplicateKey,
    #[error("etcdserver: invalid sort option")]
    InvalidSortOption,
    #[error("etcdserver: request is too large")]
    RequestTooLarge,
    #[error("etcdserver: mvcc: required revision has been compacted")]
    Compacted,
    #[error("etcdserver: mvcc: required revision is a future revision")]
    FutureRevision,
    #[error("etcdserver: too large lease TTL")]
    LeaseTtlTooLarge,
    #[error("etcdserver: requested lease not found")]
    LeaseNotFound,
    #[error("etcdserver: lease already exists")]
    LeaseExists,
    /// The member knows of no leader.
    #[error("etcdserver: no leader")]
    NoLeader,
    /// Leadership moved while the request was under way.
    #[error("etcdserver: leader changed")]
    LeaderChanged,
    /// The member gave up waiting. A write may still be committed afterwards.
    #[error("etcdserver: request timed out")]
    TimedOut,
    /// As [`EtcdError::TimedOut`], when the leader was lost meanwhile.
    #[error("etcdserver: request timed out, possibly due to previous leader failure")]
    TimedOutDueToLeaderFailure,
    /// The connection could not be made: nothing was sent.
    #[error(
        "connection error: desc = \"transport: Error while dialing: dial {member}: connect: connection refused\""
    )]
    Refused { member: String },
    /// The connection broke with the request under way. A write may have been done.
    #[error("error reading from server: EOF")]
    ConnectionLost,
    /// The client's own deadline passed. A write may still be committed afterwards.
    #[error("context deadline exceeded")]
    DeadlineExceeded,
}

impl EtcdError {
    pub fn code(&self) -> Code {
        use EtcdError::*;
        match self {
            EmptyKey | KeyNotFound | ValueProvided | LeaseProvided | TooManyOps | DuplicateKey
            | InvalidSortOption | RequestTooLarge => Code::InvalidArgument,
            Compacted | FutureRevision | LeaseTtlTooLarge => Code::OutOfRange,
            LeaseNotFound => Code::NotFound,
            LeaseExists => Code::FailedPrecondition,
            NoLeader
            | LeaderChanged
            | TimedOut
            | TimedOutDueToLeaderFailure
            | Refused { .. }
            | ConnectionLost => Code::Unavailable,
            DeadlineExceeded => Code::DeadlineExceeded,
        }
    }

    /// Whether the outcome of a write that failed with this is open: it may have been, or still be, committed.
    pub fn is_ambiguous(&self) -> bool {
        use EtcdError::*;
        matches!(
            self,
            LeaderChanged | TimedOut | TimedOutDueToLeaderFailure | ConnectionLost | DeadlineExceeded
        )
    }
}

/// There is no member of that name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no etcd member {0:?}")]
pub struct UnknownMember(pub String);
