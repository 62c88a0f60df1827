//! Delete, of one object or of all that are selected.

use http::StatusCode;
use labkit_api::{Status, StatusDetails, Verb};
use labkit_client::Response;

use crate::decode;
use crate::query::{DeleteOptions, Selection};
use crate::registry::NamespaceState;
use crate::registry::delete::Deleted;
use crate::registry::list::List;
use crate::respond;
use crate::verbs::Call;

pub(super) async fn delete(call: Call) -> Result<Response, Status> {
    let kind = call.info.kind.stored();
    let options = options(&call)?;
    call.admit(Verb::Delete, None, NamespaceState::Active)?;
    let deleted = call.registry.delete(kind, &call.info.namespace, &call.info.name, &options).await?;
    let entry = match deleted {
        Deleted::Gone(entry) if !kind.strategy.returns_deleted_object() => {
            let object = entry.object();
            let meta = &object.metadata;
            return Ok(respond::status(
                call.encoding(),
                &Status::success(StatusDetails {
                    name: meta.name.clone(),
                    group: kind.group.to_owned(),
                    kind: kind.plural.to_owned(),
                    uid: meta.uid.clone(),
                    ..Default::default()
                }),
            ));
        }
        Deleted::Pending(entry) if options.is_accepted => {
            return Ok(respond::entry(&call.presentation()?, StatusCode::ACCEPTED, &entry));
        }
        Deleted::Gone(entry) | Deleted::Pending(entry) => entry,
    };
    Ok(respond::entry(&call.presentation()?, StatusCode::OK, &entry))
}

pub(super) async fn delete_collection(call: Call) -> Result<Response, Status> {
    let options = options(&call)?;
    let selection = Selection::parse(call.info.kind, &call.query)?;
    let entries = call
        .registry
        .delete_collection(call.info.kind.stored(), &call.info.namespace, &selection, &options)
        .await?;
    let revision = call.registry.cache(call.info.kind).revision();
    let list = List { entries, revision, continuation: String::new(), remaining: None };
    Ok(respond::list(&call.presentation()?, list))
}

fn options(call: &Call) -> Result<DeleteOptions, Status> {
    DeleteOptions::parse(&decode::delete_options(&call.headers, &call.body)?, &call.query)
}
