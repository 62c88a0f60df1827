//! The Auth service: users, roles, and the way in.

use tonic::{Request, Response, Status};

use super::etcdserverpb as pb;
use super::etcdserverpb::auth_server::Auth;
use super::{Endpoint, answered, authpb};
use crate::admin::{Access, AuthOutcome, AuthRequest, AuthResponse, Permission};
use crate::api;

/// A call whose answer is of the type that the signature says.
macro_rules! calls {
    ($($name:ident($request:ident) -> $response:ident = $make:expr;)*) => {
        #[tonic::async_trait]
        impl Auth for Endpoint {
            $(async fn $name(
                &self,
                request: Request<pb::$request>,
            ) -> Result<Response<pb::$response>, Status> {
                let make: fn(pb::$request) -> AuthRequest = $make;
                let asked = make(request.get_ref().clone());
                answered!(self.call(&request, api::Request::Auth(asked)).await, Auth)
            })*
        }
    };
}

calls! {
    auth_enable(AuthEnableRequest) -> AuthEnableResponse = |_| AuthRequest::Enable;
    auth_disable(AuthDisableRequest) -> AuthDisableResponse = |_| AuthRequest::Disable;
    auth_status(AuthStatusRequest) -> AuthStatusResponse = |_| AuthRequest::Status;
    authenticate(AuthenticateRequest) -> AuthenticateResponse =
        |r| AuthRequest::Authenticate { name: r.name, secret: r.password };
    user_add(AuthUserAddRequest) -> AuthUserAddResponse = |r| AuthRequest::UserAdd {
        name: r.name,
        secret: (!r.options.is_some_and(|options| options.no_password)).then_some(r.password),
    };
    user_get(AuthUserGetRequest) -> AuthUserGetResponse = |r| AuthRequest::UserGet { name: r.name };
    user_list(AuthUserListRequest) -> AuthUserListResponse = |_| AuthRequest::UserList;
    user_delete(AuthUserDeleteRequest) -> AuthUserDeleteResponse =
        |r| AuthRequest::UserDelete { name: r.name };
    user_change_password(AuthUserChangePasswordRequest) -> AuthUserChangePasswordResponse =
        |r| AuthRequest::UserChangePassword { name: r.name, secret: r.password };
    user_grant_role(AuthUserGrantRoleRequest) -> AuthUserGrantRoleResponse =
        |r| AuthRequest::UserGrantRole { user: r.user, role: r.role };
    user_revoke_role(AuthUserRevokeRoleRequest) -> AuthUserRevokeRoleResponse =
        |r| AuthRequest::UserRevokeRole { user: r.name, role: r.role };
    role_add(AuthRoleAddRequest) -> AuthRoleAddResponse = |r| AuthRequest::RoleAdd { name: r.name };
    role_get(AuthRoleGetRequest) -> AuthRoleGetResponse = |r| AuthRequest::RoleGet { name: r.role };
    role_list(AuthRoleListRequest) -> AuthRoleListResponse = |_| AuthRequest::RoleList;
    role_delete(AuthRoleDeleteRequest) -> AuthRoleDeleteResponse =
        |r| AuthRequest::RoleDelete { name: r.role };
    role_grant_permission(AuthRoleGrantPermissionRequest) -> AuthRoleGrantPermissionResponse =
        |r| AuthRequest::RoleGrantPermission {
            role: r.name,
            permission: r.perm.unwrap_or_default().into(),
        };
    role_revoke_permission(AuthRoleRevokePermissionRequest) -> AuthRoleRevokePermissionResponse =
        |r| AuthRequest::RoleRevokePermission { role: r.role, key: r.key, range_end: r.range_end };
}

impl From<authpb::Permission> for Permission {
    fn from(permission: authpb::Permission) -> Permission {
        use authpb::permission::Type;
        let access = match permission.perm_type() {
            Type::Read => Access::Read,
            Type::Write => Access::Write,
            Type::Readwrite => Access::ReadWrite,
        };
        Permission { access, key: permission.key, range_end: permission.range_end }
    }
}

impl From<Permission> for authpb::Permission {
    fn from(Permission { access, key, range_end }: Permission) -> authpb::Permission {
        use authpb::permission::Type;
        let kind = match access {
            Access::Read => Type::Read,
            Access::Write => Type::Write,
            Access::ReadWrite => Type::Readwrite,
        };
        authpb::Permission { perm_type: kind.into(), key, range_end }
    }
}

/// Responses that say nothing but that it was done.
macro_rules! done {
    ($($response:ident)*) => {
        $(impl From<AuthResponse> for pb::$response {
            fn from(r: AuthResponse) -> pb::$response {
                pb::$response { header: Some(r.header.into()) }
            }
        })*
    };
}

done! {
    AuthEnableResponse AuthDisableResponse AuthUserAddResponse AuthUserDeleteResponse
    AuthUserChangePasswordResponse AuthUserGrantRoleResponse AuthUserRevokeRoleResponse AuthRoleAddResponse
    AuthRoleDeleteResponse AuthRoleGrantPermissionResponse AuthRoleRevokePermissionResponse
}

impl From<AuthResponse> for pb::AuthStatusResponse {
    fn from(r: AuthResponse) -> pb::AuthStatusResponse {
        let AuthOutcome::Status { enabled, revision } = r.outcome else { unreachable!("{r:?}") };
        pb::AuthStatusResponse { header: Some(r.header.into()), enabled, auth_revision: revision }
    }
}

impl From<AuthResponse> for pb::AuthenticateResponse {
    fn from(r: AuthResponse) -> pb::AuthenticateResponse {
        let AuthOutcome::Token(token) = r.outcome else { unreachable!("{r:?}") };
        pb::AuthenticateResponse { header: Some(r.header.into()), token }
    }
}

/// Lists of names, by the field that holds them.
macro_rules! names {
    ($($response:ident.$field:ident)*) => {
        $(impl From<AuthResponse> for pb::$response {
            fn from(r: AuthResponse) -> pb::$response {
                let AuthOutcome::Names($field) = r.outcome else { unreachable!("{r:?}") };
                pb::$response { header: Some(r.header.into()), $field }
            }
        })*
    };
}

names! { AuthUserGetResponse.roles AuthUserListResponse.users AuthRoleListResponse.roles }

impl From<AuthResponse> for pb::AuthRoleGetResponse {
    fn from(r: AuthResponse) -> pb::AuthRoleGetResponse {
        let AuthOutcome::Permissions(permissions) = r.outcome else { unreachable!("{r:?}") };
        let perm = permissions.into_iter().map(authpb::Permission::from).collect();
        pb::AuthRoleGetResponse { header: Some(r.header.into()), perm }
    }
}
