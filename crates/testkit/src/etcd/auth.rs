use etcd_client::{Client, ConnectOptions, PermissionType, RoleRevokePermissionOptions};

use super::EtcdServer;

impl EtcdServer {
    /// Switches authentication on: from now on everybody needs a user, the first of which is
    /// `root` with this password.
    ///
    /// # Panics
    ///
    /// When it is on already.
    pub async fn enable_auth(&self, password: &str) {
        let mut client = self.client().await;
        let done = async {
            client.user_add("root", password, None).await?;
            client.role_add("root").await?;
            client.user_grant_role("root", "root").await?;
            client.auth_enable().await
        };
        done.await.expect("authentication is off");
    }

    /// A client of its own connection and with a user's permissions.
    ///
    /// # Panics
    ///
    /// When etcd does not know the user by this password.
    pub async fn client_as(&self, user: &str, password: &str) -> Client {
        let options = ConnectOptions::new()
            .with_user(user, password)
            .with_auto_token_refresh(true);
        let client = Client::connect([self.ports.client_url()], Some(options)).await;
        client.expect("the user's name and password")
    }

    /// Adds a user who may read and write all keys from `from` on and before `to`.
    ///
    /// # Panics
    ///
    /// When there is such a user or role.
    pub async fn add_user(&self, root: &mut Client, user: &str, password: &str, keys: [&str; 2]) {
        let [from, to] = keys;
        let permission = etcd_client::Permission::new(PermissionType::Readwrite, from);
        let done = async {
            root.user_add(user, password, None).await?;
            root.role_add(user).await?;
            root.role_grant_permission(user, permission.with_range_end(to))
                .await?;
            root.user_grant_role(user, user).await
        };
        done.await.expect("a user of a new name");
    }

    /// Takes what [`Self::add_user`] has given.
    ///
    /// # Panics
    ///
    /// When the user does not have it.
    pub async fn revoke(&self, root: &mut Client, user: &str, keys: [&str; 2]) {
        let [from, to] = keys;
        let range = RoleRevokePermissionOptions::new().with_range_end(to);
        let revoked = root.role_revoke_permission(user, from, Some(range)).await;
        revoked.expect("the user had it");
    }
}
