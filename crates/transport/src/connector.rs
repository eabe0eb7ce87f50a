//! Dials one address: TCP or a Unix socket (or IO of the user's), then TLS if asked, then HTTP/2.

mod custom;
mod dial;
mod race;
#[cfg(feature = "tls")]
mod tls;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use evenkeel_core::{Address, BoxError, Endpoint};
use http::uri::Authority;
use http::{HeaderValue, Uri};
use hyper::rt;
use tokio::io::{AsyncRead, AsyncWrite};
use tower_service::Service;

use custom::CustomIo;
pub use race::race;
#[cfg(feature = "tls")]
pub use tls::{Tls, TlsError};

use crate::http2::{HandshakeError, Head, Pace, USER_AGENT_TEXT, handshake};
use crate::{Connect, ConnectError, ConnectStep, Connected, Http2Config, Http2Connection};

/// A socket, whatever is below it.
pub(crate) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}
pub(crate) type BoxIo = Box<dyn Io>;

/// The default [`Connect`]: plain data that says how to connect.
///
/// ```
/// use std::time::Duration;
/// use evenkeel_transport::{Connector, Http2Config};
///
/// let mut http2 = Http2Config::default();
/// http2.keepalive_time = Some(Duration::from_secs(60));
/// let connector = Connector::new()
///     .with_http2(http2)
///     .with_tcp_keepalive(Duration::from_secs(30))
///     .with_authority("user.example".parse().unwrap());
/// ```
///
/// # Panics
///
/// Its futures need a tokio runtime.
#[derive(Clone, Debug)]
pub struct Connector {
    settings: Arc<Settings>,
}

#[derive(Clone, Debug)]
struct Settings {
    http2: Http2Config,
    /// Shared by all clones, whatever else was changed in them.
    pace: Arc<Pace>,
    authority: Option<Authority>,
    user_agent: HeaderValue,
    tcp_keepalive: Option<Duration>,
    io: Option<CustomIo>,
    #[cfg(feature = "tls")]
    tls: Option<Tls>,
}

impl Default for Connector {
    fn default() -> Self {
        Self::new()
    }
}

impl Connector {
    /// Plain HTTP/2 over TCP or Unix sockets.
    #[must_use]
    pub fn new() -> Self {
        let settings = Settings {
            http2: Http2Config::default(),
            pace: Arc::default(),
            authority: None,
            user_agent: HeaderValue::from_static(USER_AGENT_TEXT),
            tcp_keepalive: None,
            io: None,
            #[cfg(feature = "tls")]
            tls: None,
        };
        Self {
            settings: Arc::new(settings),
        }
    }

    fn with(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(Arc::make_mut(&mut self.settings));
        self
    }

    /// Windows, limits and keepalive of its connections.
    #[must_use]
    pub fn with_http2(self, http2: Http2Config) -> Self {
        http2.warn_of_fast_keepalive();
        self.with(|settings| {
            settings.http2 = http2;
            settings.pace = Arc::default();
        })
    }

    /// The `:authority` of calls to endpoints that have none of their own. Default: the address,
    /// or `localhost` for Unix sockets.
    #[must_use]
    pub fn with_authority(self, authority: Authority) -> Self {
        self.with(|settings| settings.authority = Some(authority))
    }

    /// The `:authority` set by [`Self::with_authority`].
    #[must_use]
    pub fn authority(&self) -> Option<&Authority> {
        self.settings.authority.as_ref()
    }

    /// A user agent to put before this library's own. A call that brings its own keeps it.
    #[must_use]
    pub fn with_user_agent(self, prefix: &HeaderValue) -> Self {
        let text = [prefix.as_bytes(), b" ", USER_AGENT_TEXT.as_bytes()].concat();
        let user_agent = HeaderValue::from_maybe_shared(bytes::Bytes::from(text))
            .expect("two header values with a space between are one");
        self.with(|settings| settings.user_agent = user_agent)
    }

    /// Has the kernel probe idle TCP connections after `time`. Default: off; from 1 s to 32 767 s
    /// (what Linux takes), a value outside counts as the nearest one inside. Notices a dead host,
    /// not a stuck process: that is [`Http2Config::keepalive_time`].
    #[must_use]
    pub fn with_tcp_keepalive(self, time: Duration) -> Self {
        self.with(|settings| settings.tcp_keepalive = Some(time))
    }

    /// Speaks TLS. Default: plain text.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn with_tls(self, tls: Tls) -> Self {
        self.with(|settings| settings.tls = Some(tls))
    }

    /// Has `make` open the sockets: a proxy, a network in memory, any connector of the hyper
    /// ecosystem. It is called with `http://<address>/`, so it cannot open Unix sockets. With
    /// [`Self::with_tls`], TLS is spoken on what it opens.
    #[must_use]
    pub fn with_io<M>(self, make: M) -> Self
    where
        M: Service<Uri> + Clone + Send + 'static,
        M::Response: rt::Read + rt::Write + Send + Unpin + 'static,
        M::Error: Into<BoxError>,
        M::Future: Send,
    {
        self.with(|settings| settings.io = Some(CustomIo::new(make)))
    }
}

impl Connect for Connector {
    type Connection = Http2Connection;
    type Future = Connecting;

    fn connect(&self, address: &Address, endpoint: &Endpoint) -> Connecting {
        let attempt = Attempt {
            settings: self.settings.clone(),
            address: address.clone(),
            authority: endpoint.authority().map(Arc::from),
        };
        Connecting {
            future: Box::pin(attempt.run()),
        }
    }
}

/// One connection attempt of a [`Connector`]; dropping it closes what it has opened.
#[must_use = "futures do nothing unless polled"]
pub struct Connecting {
    future: Pin<Box<dyn Future<Output = Result<Connected<Http2Connection>, ConnectError>> + Send>>,
}

impl Future for Connecting {
    type Output = Result<Connected<Http2Connection>, ConnectError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.future.as_mut().poll(cx)
    }
}

impl fmt::Debug for Connecting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connecting").finish_non_exhaustive()
    }
}

struct Attempt {
    settings: Arc<Settings>,
    address: Address,
    authority: Option<Arc<str>>,
}

impl Attempt {
    fn failed(&self, step: ConnectStep) -> ConnectError {
        ConnectError::new(self.address.clone(), step)
    }

    /// The endpoint's own authority, else the channel's, else the address.
    fn authority(&self) -> Result<Authority, ConnectError> {
        let text = match (&self.authority, &self.settings.authority) {
            (Some(own), _) => own.to_string(),
            (None, Some(authority)) => return Ok(authority.clone()),
            (None, None) => match &self.address {
                Address::Unix(_) | Address::UnixAbstract(_) => "localhost".to_owned(),
                address => address.to_string(),
            },
        };
        let authority = Authority::try_from(text);
        authority.map_err(|error| self.failed(ConnectStep::Authority).with_source(error))
    }

    async fn run(self) -> Result<Connected<Http2Connection>, ConnectError> {
        let authority = self.authority()?;
        let io = match &self.settings.io {
            Some(custom) => self.custom(custom).await?,
            None => self.dial().await?,
        };
        let (io, tls) = self.secure(io, &authority).await?;
        let Settings { http2, pace, .. } = &*self.settings;
        let opened = handshake(io, http2).await.map_err(|error| match error {
            HandshakeError::Http2(error) => self.failed(ConnectStep::Http2).with_source(error),
            HandshakeError::NoSettings => self.failed(ConnectStep::NoSettings),
        })?;
        let head = Head::new(tls, &authority, self.settings.user_agent.clone());
        Ok(opened.drive(http2, pace.clone(), head, self.address.clone()))
    }

    /// The socket with TLS on it, and whether there is any.
    #[cfg(feature = "tls")]
    async fn secure(
        &self,
        io: BoxIo,
        authority: &Authority,
    ) -> Result<(BoxIo, bool), ConnectError> {
        let Some(tls) = &self.settings.tls else {
            return Ok((io, false));
        };
        let secured = tls.handshake(io, authority).await;
        let secured = secured.map_err(|(step, source)| match source {
            Some(source) => self.failed(step).with_source(source),
            None => self.failed(step),
        });
        Ok((secured?, true))
    }

    #[cfg(not(feature = "tls"))]
    async fn secure(&self, io: BoxIo, _: &Authority) -> Result<(BoxIo, bool), ConnectError> {
        Ok((io, false))
    }
}
