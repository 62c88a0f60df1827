//! Users, roles and who may do what. Counterpart of `server/auth/store.go`. Pure and replicated, but for the
//! tokens: those are given out through the log and forgotten when a member restarts, as etcd's simple ones.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::admin::{Access, AuthOutcome, AuthRequest, Permission};
use crate::api::{DeleteRangeRequest, PutRequest, RangeRequest, RequestOp, TxnRequest};
use crate::error::EtcdError;

/// The user and the role that may do everything.
const ROOT: &str = "root";

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct User {
    /// Of the password; `None` for a user without one.
    hash: Option<String>,
    roles: BTreeSet<String>,
}

/// See the module.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Auth {
    enabled: bool,
    /// Grows with every change; 0 while nothing was ever set up, as etcd's, which begins at 1, shows it less one.
    revision: u64,
    users: BTreeMap<String, User>,
    /// Permissions in the order of their keys.
    roles: BTreeMap<String, Vec<Permission>>,
}

/// Who asks, and what of the users and roles was known when the question came in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Asker {
    pub user: String,
    pub auth_revision: u64,
}

impl Auth {
    pub fn is_enabled(&self) -> bool {
        self.enabled
    }

    /// etcd counts from 1.
    pub fn revision(&self) -> u64 {
        self.revision + 1
    }

    /// The hash of a user's password, if the user can log in with one.
    pub fn hash_of(&self, user: &str) -> Result<&str, EtcdError> {
        if !self.enabled {
            return Err(EtcdError::AuthNotEnabled);
        }
        self.users.get(user).and_then(|user| user.hash.as_deref()).ok_or(EtcdError::AuthFailed)
    }

    /// Applies a request, which must come with hashes in the place of passwords.
    pub fn execute(&mut self, request: AuthRequest) -> Result<AuthOutcome, EtcdError> {
        use AuthRequest::*;
        match request {
            Status => return Ok(AuthOutcome::Status { enabled: self.enabled, revision: self.revision() }),
            Authenticate { name, secret } => {
                self.hash_of(&name)?;
                return Ok(AuthOutcome::Token(secret));
            }
            UserList => return Ok(AuthOutcome::Names(self.users.keys().cloned().collect())),
            UserGet { name } => {
                let user = self.users.get(&name).ok_or(EtcdError::UserNotFound)?;
                return Ok(AuthOutcome::Names(user.roles.iter().cloned().collect()));
            }
            RoleList => return Ok(AuthOutcome::Names(self.roles.keys().cloned().collect())),
            RoleGet { name } => {
                let role = self.roles.get(&name).ok_or(EtcdError::RoleNotFound)?;
                return Ok(AuthOutcome::Permissions(role.clone()));
            }
            Enable if self.enabled => return Ok(AuthOutcome::Done),
            Enable => {
                let root = self.users.get(ROOT).ok_or(EtcdError::RootUserNotExist)?;
                if !root.roles.contains(ROOT) {
                    return Err(EtcdError::RootRoleNotExist);
                }
                self.enabled = true;
            }
            Disable if !self.enabled => return Ok(AuthOutcome::Done),
            Disable => self.enabled = false,
            UserAdd { name, secret } => {
                if name.is_empty() {
                    return Err(EtcdError::UserEmpty);
                }
                if self.users.contains_key(&name) {
                    return Err(EtcdError::UserAlreadyExist);
                }
                self.users.insert(name, User { hash: secret, roles: BTreeSet::new() });
            }
            UserDelete { name } => {
                if self.enabled && name == ROOT {
                    return Err(EtcdError::InvalidAuthManagement);
                }
                self.users.remove(&name).ok_or(EtcdError::UserNotFound)?;
            }
            UserChangePassword { name, secret } => {
                self.users.get_mut(&name).ok_or(EtcdError::UserNotFound)?.hash = Some(secret);
            }
            UserGrantRole { user, role } => {
                let granted = self.users.get_mut(&user).ok_or(EtcdError::UserNotFound)?;
                if role != ROOT && !self.roles.contains_key(&role) {
                    return Err(EtcdError::RoleNotFound);
                }
                granted.roles.insert(role);
            }
            UserRevokeRole { user, role } => {
                if self.enabled && user == ROOT && role == ROOT {
                    return Err(EtcdError::InvalidAuthManagement);
                }
                let revoked = self.users.get_mut(&user).ok_or(EtcdError::UserNotFound)?;
                if !revoked.roles.remove(&role) {
                    return Err(EtcdError::RoleNotGranted);
                }
            }
            RoleAdd { name } => {
                if name.is_empty() {
                    return Err(EtcdError::RoleEmpty);
                }
                if self.roles.contains_key(&name) {
                    return Err(EtcdError::RoleAlreadyExist);
                }
                self.roles.insert(name, Vec::new());
            }
            RoleDelete { name } => {
                if self.enabled && name == ROOT {
                    return Err(EtcdError::InvalidAuthManagement);
                }
                self.roles.remove(&name).ok_or(EtcdError::RoleNotFound)?;
                for user in self.users.values_mut() {
                    user.roles.remove(&name);
                }
            }
            RoleGrantPermission { role, permission } => {
                let granted = self.roles.get_mut(&role).ok_or(EtcdError::RoleNotFound)?;
                let same =
                    |one: &Permission| one.key == permission.key && one.range_end == permission.range_end;
                match granted.iter_mut().find(|one| same(one)) {
                    Some(one) => one.access = permission.access,
                    None => granted.push(permission),
                }
                granted.sort_by(|a, b| a.key.cmp(&b.key));
            }
            RoleRevokePermission { role, key, range_end } => {
                let revoked = self.roles.get_mut(&role).ok_or(EtcdError::RoleNotFound)?;
                let before = revoked.len();
                revoked.retain(|one| one.key != key || one.range_end != range_end);
                if revoked.len() == before {
                    return Err(EtcdError::PermissionNotGranted);
                }
            }
        }
        self.revision += 1;
        Ok(AuthOutcome::Done)
    }
}

/// Who may do what. Without authentication, everyone everything.
impl Auth {
    /// The permissions of who asks; `None` for root, who needs none.
    fn permissions(&self, asker: Option<&Asker>) -> Result<Option<Vec<&Permission>>, EtcdError> {
        let asker = asker.ok_or(EtcdError::UserEmpty)?;
        if asker.auth_revision < self.revision() {
            return Err(EtcdError::AuthOldRevision);
        }
        let user = self.users.get(&asker.user).ok_or(EtcdError::PermissionDenied)?;
        if user.roles.contains(ROOT) {
            return Ok(None);
        }
        let roles = user.roles.iter().filter_map(|role| self.roles.get(role));
        Ok(Some(roles.flatten().collect()))
    }

    fn check(
        &self,
        asker: Option<&Asker>,
        wanted: Access,
        key: &Bytes,
        range_end: &Bytes,
    ) -> Result<(), EtcdError> {
        if !self.enabled {
            return Ok(());
        }
        let Some(permissions) = self.permissions(asker)? else { return Ok(()) };
        let granted =
            permissions.into_iter().filter(|one| one.access == Access::ReadWrite || one.access == wanted);
        let ranges = granted.map(|one| interval(&one.key, &one.range_end)).collect();
        if covers(ranges, interval(key, range_end)) { Ok(()) } else { Err(EtcdError::PermissionDenied) }
    }

    pub fn check_admin(&self, asker: Option<&Asker>) -> Result<(), EtcdError> {
        if !self.enabled {
            return Ok(());
        }
        match self.permissions(asker)? {
            None => Ok(()),
            Some(_) => Err(EtcdError::PermissionDenied),
        }
    }

    /// Whether a request on the users and roles is allowed: root's business, but one may look at oneself.
    pub fn check_auth(&self, asker: Option<&Asker>, request: &AuthRequest) -> Result<(), EtcdError> {
        let user = asker.map(|asker| asker.user.as_str());
        match request {
            AuthRequest::Authenticate { .. } | AuthRequest::Status => Ok(()),
            AuthRequest::UserGet { name } if user == Some(name) => Ok(()),
            AuthRequest::RoleGet { name }
                if user.and_then(|user| self.users.get(user)).is_some_and(|u| u.roles.contains(name)) =>
            {
                Ok(())
            }
            _ => self.check_admin(asker),
        }
    }

    pub fn check_range(&self, asker: Option<&Asker>, range: &RangeRequest) -> Result<(), EtcdError> {
        self.check(asker, Access::Read, &range.key, &range.range_end)
    }

    /// `lease_keys` are those already on the lease that the put names: whoever attaches to it must be allowed to
    /// write them, for they end together.
    pub fn check_put<'a>(
        &self,
        asker: Option<&Asker>,
        put: &PutRequest,
        lease_keys: impl IntoIterator<Item = &'a Bytes>,
    ) -> Result<(), EtcdError> {
        let none = Bytes::new();
        self.check(asker, Access::Write, &put.key, &none)?;
        lease_keys.into_iter().try_for_each(|key| self.check(asker, Access::Write, key, &none))?;
        if put.prev_kv { self.check(asker, Access::Read, &put.key, &none) } else { Ok(()) }
    }

    /// Whoever ends a lease, or asks what is on it, must be allowed to write its keys.
    pub fn check_lease<'a>(
        &self,
        asker: Option<&Asker>,
        mut keys: impl Iterator<Item = &'a Bytes>,
    ) -> Result<(), EtcdError> {
        keys.try_for_each(|key| self.check(asker, Access::Write, key, &Bytes::new()))
    }

    pub fn check_delete(&self, asker: Option<&Asker>, delete: &DeleteRangeRequest) -> Result<(), EtcdError> {
        self.check(asker, Access::Write, &delete.key, &delete.range_end)?;
        if delete.prev_kv { self.check(asker, Access::Read, &delete.key, &delete.range_end) } else { Ok(()) }
    }

    pub fn check_txn(&self, asker: Option<&Asker>, txn: &TxnRequest) -> Result<(), EtcdError> {
        for compare in &txn.compare {
            self.check(asker, Access::Read, &compare.key, &compare.range_end)?;
        }
        txn.success.iter().chain(&txn.failure).try_for_each(|operation| match operation {
            RequestOp::Range(range) => self.check_range(asker, range),
            RequestOp::Put(put) => self.check_put(asker, put, []),
            RequestOp::DeleteRange(delete) => self.check_delete(asker, delete),
            RequestOp::Txn(txn) => self.check_txn(asker, txn),
        })
    }
}

/// From a key on up to, but without, another; `None` for no end.
type Interval = (Bytes, Option<Bytes>);

fn interval(key: &Bytes, range_end: &Bytes) -> Interval {
    match range_end.as_ref() {
        b"" => (key.clone(), Some([key.as_ref(), b"\0"].concat().into())),
        b"\0" => (key.clone(), None),
        _ => (key.clone(), Some(range_end.clone())),
    }
}

/// Whether `granted` together contain all of `wanted`.
fn covers(mut granted: Vec<Interval>, (mut from, to): Interval) -> bool {
    granted.sort();
    for (start, end) in granted {
        if start > from {
            return false;
        }
        match (end, &to) {
            (None, _) => return true,
            (Some(end), Some(to)) if end >= *to => return true,
            (Some(end), _) => from = from.max(end),
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &'static str) -> Bytes {
        Bytes::from_static(text.as_bytes())
    }

    #[track_caller]
    fn check_covers(
        granted: &[(&'static str, &'static str)],
        wanted: (&'static str, &'static str),
        is: bool,
    ) {
        let granted = granted.iter().map(|(key, end)| interval(&text(key), &text(end))).collect();
        assert_eq!(covers(granted, interval(&text(wanted.0), &text(wanted.1))), is);
    }

    #[test]
    fn permissions_cover_a_range_together_or_not_at_all() {
        check_covers(&[("a", "c")], ("a", "c"), true);
        check_covers(&[("a", "c")], ("b", ""), true);
        check_covers(&[("a", "c")], ("c", ""), false);
        check_covers(&[("a", "c"), ("c", "e")], ("b", "d"), true);
        check_covers(&[("a", "b"), ("c", "e")], ("a", "d"), false);
        check_covers(&[("a", "c")], ("a", "\0"), false);
        check_covers(&[("a", "\0")], ("b", "\0"), true);
        check_covers(&[("a", "")], ("a", ""), true);
        check_covers(&[("a", "")], ("a", "b"), false);
        check_covers(&[], ("a", ""), false);
    }

    fn set_up() -> Auth {
        let mut auth = Auth::default();
        let secret = Some("hash".to_owned());
        let name = |name: &str| name.to_owned();
        for request in [
            AuthRequest::UserAdd { name: name("root"), secret: secret.clone() },
            AuthRequest::UserGrantRole { user: name("root"), role: name("root") },
            AuthRequest::UserAdd { name: name("u1"), secret },
            AuthRequest::RoleAdd { name: name("r1") },
            AuthRequest::RoleGrantPermission {
                role: name("r1"),
                permission: Permission {
                    access: Access::Write,
                    key: text("/app/"),
                    range_end: text("/app0"),
                },
            },
            AuthRequest::UserGrantRole { user: name("u1"), role: name("r1") },
            AuthRequest::Enable,
        ] {
            auth.execute(request).unwrap();
        }
        auth
    }

    #[test]
    fn a_user_may_do_what_its_roles_may() {
        let auth = set_up();
        let asker = |user: &str| Some(Asker { user: user.to_owned(), auth_revision: auth.revision() });
        let put = |key: &'static str| PutRequest::new(text(key), text("v"));
        let check = |user: &str, put: &PutRequest| auth.check_put(asker(user).as_ref(), put, []);
        assert_eq!(check("u1", &put("/app/x")), Ok(()));
        assert_eq!(check("u1", &put("/other")), Err(EtcdError::PermissionDenied));
        assert_eq!(check("root", &put("/other")), Ok(()));
        let reading = PutRequest { prev_kv: true, ..put("/app/x") };
        assert_eq!(check("u1", &reading), Err(EtcdError::PermissionDenied), "write does not mean read");
        assert_eq!(auth.check_put(None, &put("/app/x"), []), Err(EtcdError::UserEmpty));
        assert_eq!(auth.check_admin(asker("u1").as_ref()), Err(EtcdError::PermissionDenied));
        let old = Asker { user: "u1".to_owned(), auth_revision: 1 };
        assert_eq!(auth.check_put(Some(&old), &put("/app/x"), []), Err(EtcdError::AuthOldRevision));
    }

    #[test]
    fn authentication_needs_a_root_that_can_be_lost_no_more() {
        let mut auth = Auth::default();
        assert_eq!(auth.execute(AuthRequest::Enable), Err(EtcdError::RootUserNotExist));
        let root = || "root".to_owned();
        auth.execute(AuthRequest::UserAdd { name: root(), secret: None }).unwrap();
        assert_eq!(auth.execute(AuthRequest::Enable), Err(EtcdError::RootRoleNotExist));
        let mut auth = set_up();
        let revoke = AuthRequest::UserRevokeRole { user: root(), role: root() };
        assert_eq!(auth.execute(revoke), Err(EtcdError::InvalidAuthManagement));
        let delete = AuthRequest::UserDelete { name: root() };
        assert_eq!(auth.execute(delete), Err(EtcdError::InvalidAuthManagement));
    }
}
