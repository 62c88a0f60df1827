//! certificatesigningrequest-signing-controller: what was approved for `kubernetes.io/kube-apiserver-client` gets its
//! certificate, from the authority that the API servers know clients by. Counterpart:
//! `pkg/controller/certificates/signer`.
//!
//! Absent: the signers of kubelets' certificates, the approver of those, and the cleaner of old requests.

use std::sync::OnceLock;

use k8s_openapi::ByteString;
use k8s_openapi::api::certificates::v1::{CertificateSigningRequest, CertificateSigningRequestCondition};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use labkit_api::ObjectKey;
use labkit_client::{Store, WorkQueue};
use labkit_pki::{Authority, SigningRequest};

use crate::context::Context;
use crate::work::{Failed, each, work};

const SIGNER: &str = "kubernetes.io/kube-apiserver-client";
/// The authority of the cluster; kubeadm's name for it.
const AUTHORITY: &str = "kubernetes";
/// `--cluster-signing-duration`: a year.
const SECONDS_MAX: i64 = 365 * 24 * 3600;
const USAGES: [&str; 3] = ["client auth", "digital signature", "key encipherment"];

pub(crate) async fn run(context: Context) {
    let requests = context.informers.certificate_signing_requests().clone();
    let (queue, store, authority) = (WorkQueue::default(), requests.store(), OnceLock::new());
    let changes = each(requests.subscribe(), |change| {
        if change.new.is_some() {
            queue.add(change.key.name, change.cause);
        }
    });
    let reconciles = async {
        requests.synced().await;
        work(&queue, 1, |name| reconcile(&context, &store, &authority, name)).await
    };
    futures::join!(changes, reconciles);
}

async fn reconcile(
    context: &Context,
    store: &Store<CertificateSigningRequest>,
    authority: &OnceLock<Authority>,
    name: String,
) -> Result<(), Failed> {
    let Some(request) = store.get(&ObjectKey::new("", &name)) else { return Ok(()) };
    if !is_to_be_signed(&request) {
        return Ok(());
    }
    let authority = authority.get_or_init(|| Authority::new(context.client.world(), AUTHORITY));
    let mut signed = (*request).clone();
    let status = signed.status.get_or_insert_default();
    match certificate(authority, &request) {
        Ok(pem) => status.certificate = Some(ByteString(pem.into_bytes())),
        Err(why) => status.conditions.get_or_insert_default().push(CertificateSigningRequestCondition {
            type_: "Failed".to_owned(),
            status: "True".to_owned(),
            reason: Some("SignerValidationFailure".to_owned()),
            message: Some(why),
            last_update_time: Some(Time(context.now())),
            ..Default::default()
        }),
    }
    context.client.api().replace_status(&signed).await?;
    Ok(())
}

/// Ours, approved, and neither issued nor failed yet.
fn is_to_be_signed(request: &CertificateSigningRequest) -> bool {
    let status = request.status.clone().unwrap_or_default();
    let has = |kind: &str| status.conditions.iter().flatten().any(|condition| condition.type_ == kind);
    let is_issued = status.certificate.is_some_and(|certificate| !certificate.0.is_empty());
    request.spec.signer_name == SIGNER && has("Approved") && !has("Denied") && !has("Failed") && !is_issued
}

fn certificate(authority: &Authority, request: &CertificateSigningRequest) -> Result<String, String> {
    let usages = request.spec.usages.clone().unwrap_or_default();
    if !usages.iter().any(|usage| usage == "client auth")
        || usages.iter().any(|usage| !USAGES.contains(&usage.as_str()))
    {
        return Err(format!("invalid usages for client certificate: {usages:?}"));
    }
    let pem = String::from_utf8(request.spec.request.0.clone()).map_err(|error| error.to_string())?;
    let seconds = request.spec.expiration_seconds.map_or(SECONDS_MAX, i64::from).min(SECONDS_MAX);
    authority.sign(&SigningRequest::parse(&pem)?, seconds)
}
