//! What the store's failures become. Counterpart: `k8s.io/apiserver/pkg/storage/errors`, `ErrorToAPIStatus`.

use labkit_api::{Status, StatusDetails};
use labkit_etcd::{Code, EtcdError};

/// The request's deadline passed: 504. Anything else is etcd's own text under 500, without a reason; where etcd
/// itself said nothing, gRPC's.
pub(crate) fn status(error: EtcdError) -> Status {
    match &error {
        EtcdError::Refused { .. } | EtcdError::ConnectionLost => {
            Status::failure(500, "", format!("rpc error: code = Unavailable desc = {error}"))
        }
        error if error.code() == Code::DeadlineExceeded => {
            timeout(&format!("request did not complete within requested timeout - {error}"))
        }
        error => Status::failure(500, "", error.to_string()),
    }
}

/// `Timeout: ...`, code 504.
pub(crate) fn timeout(why: &str) -> Status {
    let mut status = Status::failure(504, "Timeout", format!("Timeout: {why}"));
    status.details = Some(StatusDetails::default());
    status
}

/// A list or watch asked for a revision that is still to come.
pub(crate) fn too_large_resource_version(requested: i64, current: i64) -> Status {
    let mut status = timeout(&format!("Too large resource version: {requested}, current: {current}"));
    let message = "Too large resource version".to_owned();
    let cause = labkit_api::StatusCause {
        reason: "ResourceVersionTooLarge".to_owned(),
        message,
        field: String::new(),
    };
    status.message = format!("Timeout: Too large resource version: {requested}, current: {current}");
    status.details =
        Some(StatusDetails { causes: vec![cause], retry_after_seconds: Some(1), ..Default::default() });
    status
}

/// `too old resource version: 5 (120)`, code 410.
pub(crate) fn too_old_resource_version(requested: i64, oldest: i64) -> Status {
    Status::expired(format!("too old resource version: {requested} ({oldest})"))
}
