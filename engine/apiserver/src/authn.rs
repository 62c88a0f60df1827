//! Who asks. A connection that showed a client certificate carries its user; in process the caller says so.
//! Authorization is absent: whoever is known or anonymous may do everything.

use labkit_api::UserInfo;
use labkit_client::Request;

/// The user of a request, with the group that every user of its sort is in.
pub(crate) fn authenticate(request: &Request) -> UserInfo {
    let Some(user) = request.extensions().get::<UserInfo>() else {
        return UserInfo::new("system:anonymous", &["system:unauthenticated"]);
    };
    let mut user = user.clone();
    let authenticated = "system:authenticated".to_owned();
    if user.name != "system:anonymous" && !user.groups.contains(&authenticated) {
        user.groups.push(authenticated);
    }
    user
}
