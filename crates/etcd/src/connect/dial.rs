use std::sync::Arc;

use etcd_client::{Channel, Client, ConnectOptions};
use evenkeel_core::error::{BoxError, chain};
use tokio::time::timeout;
use tonic::Code;
use tonic::transport::Endpoint;
use tower::ServiceExt;
use tower::util::BoxCloneSyncService;

use super::token::one_complaint;
use crate::{EtcdConfig, EtcdError};

pub(super) const ACTION: &str = "connect";

/// A new connection to this member, which has answered on it and knows a leader. It has no token.
pub(super) async fn dial(config: &EtcdConfig, member: &Arc<str>) -> Result<Client, EtcdError> {
    let silent = |within| EtcdError::silent(ACTION, member, within);
    let unreachable = |reason: &str| EtcdError::unreachable(ACTION, member, reason);
    let endpoint = endpoint(config, member)?;
    let within = config.connect_timeout;
    let channel = match timeout(within, endpoint.connect()).await {
        Ok(connected) => connected.map_err(|error| unreachable(&chain(&error)))?,
        Err(_) => return Err(silent(within)),
    };
    let service = channel.map_response(one_complaint).map_err(BoxError::from);
    let channel = Channel::Custom(BoxCloneSyncService::new(service));
    let options = ConnectOptions::new()
        // A member that has lost its leader serves stale lists and silent watches otherwise.
        .with_require_leader(true)
        .with_auto_token_refresh(config.credentials.is_some());
    let answers = async {
        let client = Client::from_channel(channel, Some(options)).await?;
        check(&client).await?;
        Ok(client)
    };
    let within = config.request_timeout;
    match timeout(within, answers).await {
        Ok(answer) => answer.map_err(|error| match EtcdError::request(ACTION, error) {
            // The handshake of TLS ends before etcd has looked at our certificate.
            EtcdError::Request { reason, .. } => unreachable(&reason),
            error => error,
        }),
        Err(_) => Err(silent(within)),
    }
}

/// Whether the member answers, and takes part in the cluster. Needs no permission.
pub(super) async fn check(client: &Client) -> Result<(), etcd_client::Error> {
    let status = match client.maintenance_client().status().await {
        Ok(status) => status,
        // Whoever refuses is there.
        Err(etcd_client::Error::GRpcStatus(status)) if is_refusal(status.code()) => return Ok(()),
        Err(error) => return Err(error),
    };
    let unavailable = |why| Err(tonic::Status::unavailable(why).into());
    if status.leader() == 0 {
        return unavailable("the member has no leader");
    }
    if status.is_learner() {
        return unavailable("the member is a learner, which serves nobody");
    }
    Ok(())
}

/// Gives the client a token, when there are credentials.
pub(super) async fn authenticate(
    config: &EtcdConfig,
    client: &mut Client,
) -> Result<(), etcd_client::Error> {
    let Some(credentials) = &config.credentials else {
        return Ok(());
    };
    let user = (credentials.name.clone(), credentials.password.clone());
    match client.update_user(Some(user)).await {
        // That authentication is off: then it goes without, until etcd wants a token.
        Err(etcd_client::Error::GRpcStatus(status))
            if status.code() == Code::FailedPrecondition =>
        {
            Ok(())
        }
        done => done,
    }
}

/// How to connect to a member. The host is resolved anew by each connection.
pub(crate) fn endpoint(config: &EtcdConfig, member: &str) -> Result<Endpoint, EtcdError> {
    let wrong = |error| EtcdError::config("endpoints", format!("{member}: {}", chain(&error)));
    let endpoint = Endpoint::from_shared(member.to_owned())
        .map_err(wrong)?
        .connect_timeout(config.connect_timeout)
        .http2_keep_alive_interval(config.keep_alive_interval)
        .keep_alive_timeout(config.keep_alive_timeout)
        // etcd takes pings on a connection without streams for an attack.
        .keep_alive_while_idle(false);
    #[cfg(feature = "tls")]
    if member.starts_with("https:") {
        use tonic::transport::ClientTlsConfig;

        let roots = || ClientTlsConfig::new().with_enabled_roots();
        let tls = config.tls.clone().unwrap_or_else(roots);
        return endpoint.tls_config(tls).map_err(wrong);
    }
    Ok(endpoint)
}

const fn is_refusal(code: Code) -> bool {
    matches!(
        code,
        Code::PermissionDenied
            | Code::Unauthenticated
            | Code::InvalidArgument
            | Code::FailedPrecondition
            | Code::Unimplemented
    )
}
