//! etcd's errors: gRPC code and text, word for word. Counterpart of `api/v3rpc/rpctypes/error.go`.

/// The codes of gRPC that etcd answers with, under their numbers on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Code {
    Unknown = 2,
    InvalidArgument = 3,
    DeadlineExceeded = 4,
    NotFound = 5,
    PermissionDenied = 7,
    ResourceExhausted = 8,
    FailedPrecondition = 9,
    OutOfRange = 11,
    Unavailable = 14,
    DataLoss = 15,
    Unauthenticated = 16,
}

#[cfg(feature = "grpc")]
impl Code {
    /// The code with that number on the wire; `Unknown` for those that etcd does not answer with.
    fn of(number: i32) -> Code {
        use Code::*;
        let codes = [
            InvalidArgument,
            DeadlineExceeded,
            NotFound,
            PermissionDenied,
            ResourceExhausted,
            FailedPrecondition,
            OutOfRange,
            Unavailable,
            DataLoss,
            Unauthenticated,
        ];
        codes.into_iter().find(|code| *code as i32 == number).unwrap_or(Unknown)
    }
}

/// Why a request failed. `Display` gives the text that etcdctl prints after `Error: `.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize, thiserror::Error)]
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
    #[error("etcdserver: mvcc: database space exceeded")]
    NoSpace,
    #[error("etcdserver: corrupt cluster")]
    Corrupt,
    #[error("etcdserver: member not found")]
    MemberNotFound,
    #[error("etcdserver: Peer URLs already exists")]
    PeerUrlExists,
    #[error("etcdserver: given member URLs are invalid")]
    MemberBadUrls,
    /// Too few members would have started to make a quorum of the changed cluster.
    #[error("etcdserver: re-configuration failed due to not enough started members")]
    MemberNotEnoughStarted,
    /// Not every voter has been connected for some seconds.
    #[error("etcdserver: unhealthy cluster")]
    Unhealthy,
    #[error("etcdserver: can only promote a learner member")]
    MemberNotLearner,
    #[error("etcdserver: can only promote a learner member which is in sync with leader")]
    LearnerNotReady,
    #[error("etcdserver: too many learner members in cluster")]
    TooManyLearners,
    #[error("etcdserver: rpc not supported for learner")]
    NotSupportedForLearner,
    #[error("etcdserver: not leader")]
    NotLeader,
    #[error("etcdserver: bad leader transferee")]
    BadLeaderTransferee,
    #[error("etcdserver: root user does not exist")]
    RootUserNotExist,
    #[error("etcdserver: root user does not have root role")]
    RootRoleNotExist,
    #[error("etcdserver: user name already exists")]
    UserAlreadyExist,
    #[error("etcdserver: user name is empty")]
    UserEmpty,
    #[error("etcdserver: user name not found")]
    UserNotFound,
    #[error("etcdserver: role name already exists")]
    RoleAlreadyExist,
    #[error("etcdserver: role name not found")]
    RoleNotFound,
    #[error("etcdserver: role name is empty")]
    RoleEmpty,
    #[error("etcdserver: authentication failed, invalid user ID or password")]
    AuthFailed,
    #[error("etcdserver: permission denied")]
    PermissionDenied,
    #[error("etcdserver: role is not granted to the user")]
    RoleNotGranted,
    #[error("etcdserver: permission is not granted to the role")]
    PermissionNotGranted,
    #[error("etcdserver: authentication is not enabled")]
    AuthNotEnabled,
    #[error("etcdserver: invalid auth token")]
    InvalidAuthToken,
    #[error("etcdserver: invalid auth management")]
    InvalidAuthManagement,
    #[error("etcdserver: revision of auth store is old")]
    AuthOldRevision,
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
    /// The member gave up before it found a leader to give the change to: nothing was sent.
    #[error("context deadline exceeded")]
    NotProposed,
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
    /// What a server elsewhere said, where nothing depends on which error it is.
    #[error("{message}")]
    Other { code: Code, message: String },
}

impl EtcdError {
    pub fn code(&self) -> Code {
        use EtcdError::*;
        match self {
            EmptyKey
            | KeyNotFound
            | ValueProvided
            | LeaseProvided
            | TooManyOps
            | DuplicateKey
            | InvalidSortOption
            | RequestTooLarge
            | MemberBadUrls
            | UserEmpty
            | RoleEmpty
            | AuthFailed
            | InvalidAuthManagement
            | AuthOldRevision => Code::InvalidArgument,
            Compacted | FutureRevision | LeaseTtlTooLarge => Code::OutOfRange,
            LeaseNotFound | MemberNotFound => Code::NotFound,
            LeaseExists
            | PeerUrlExists
            | MemberNotEnoughStarted
            | MemberNotLearner
            | LearnerNotReady
            | TooManyLearners
            | NotLeader
            | BadLeaderTransferee
            | RootUserNotExist
            | RootRoleNotExist
            | UserAlreadyExist
            | UserNotFound
            | RoleAlreadyExist
            | RoleNotFound
            | RoleNotGranted
            | PermissionNotGranted
            | AuthNotEnabled => Code::FailedPrecondition,
            NoSpace => Code::ResourceExhausted,
            Corrupt => Code::DataLoss,
            PermissionDenied => Code::PermissionDenied,
            InvalidAuthToken => Code::Unauthenticated,
            NotProposed => Code::Unknown,
            Unhealthy
            | NotSupportedForLearner
            | NoLeader
            | LeaderChanged
            | TimedOut
            | TimedOutDueToLeaderFailure
            | Refused { .. }
            | ConnectionLost => Code::Unavailable,
            DeadlineExceeded => Code::DeadlineExceeded,
            Other { code, .. } => *code,
        }
    }

    /// The error that a server elsewhere told by a gRPC code and a text.
    #[cfg(feature = "grpc")]
    pub(crate) fn told(code: i32, message: &str) -> EtcdError {
        use EtcdError::*;
        let known = [
            RequestTooLarge,
            Compacted,
            FutureRevision,
            LeaseNotFound,
            LeaseExists,
            NoSpace,
            Corrupt,
            NoLeader,
            LeaderChanged,
            TimedOut,
            TimedOutDueToLeaderFailure,
        ];
        let known = known.into_iter().find(|error| error.to_string() == message);
        known.unwrap_or_else(|| Other { code: Code::of(code), message: message.to_owned() })
    }

    /// Whether the outcome of a write that failed with this is open: it may have been, or still be, committed.
    pub fn is_ambiguous(&self) -> bool {
        use EtcdError::*;
        matches!(
            self,
            LeaderChanged
                | TimedOut
                | TimedOutDueToLeaderFailure
                | ConnectionLost
                | DeadlineExceeded
                | Other { code: Code::Unavailable | Code::DeadlineExceeded | Code::Unknown, .. }
        )
    }
}

/// There is no member of that name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no etcd member {0:?}")]
pub struct UnknownMember(pub String);
