//! CertificateSubjectRestriction: nobody gets a certificate of the group `system:masters`.

use labkit_api::{Status, Verb};

use crate::admission::Attributes;
use crate::kinds::certificate_signing_requests::{KIND, asks_for_masters};

pub(super) fn admit(attributes: &mut Attributes<'_>) -> Result<(), Status> {
    if !std::ptr::eq(attributes.kind, &KIND) || attributes.verb != Verb::Create {
        return Ok(());
    }
    match attributes.object.as_deref() {
        Some(request) if asks_for_masters(request) => {
            let why =
                "use of kubernetes.io/kube-apiserver-client signer with system:masters group is not allowed";
            Err(Status::forbidden(&KIND.resource(), &request.metadata.name, why))
        }
        _ => Ok(()),
    }
}
