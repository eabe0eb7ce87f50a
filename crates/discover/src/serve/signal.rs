use tracing::{info, warn};

/// Resolves when the process is told to end: by SIGTERM, as container platforms do, or by Ctrl-C.
/// For [`Serve::until`](crate::Serve::until).
///
/// From then on these signals do not end the process by themselves; give a second one to
/// [`Serve::cut_off`](crate::Serve::cut_off), which waits for the next signal.
pub async fn shutdown_signal() {
    let signal = tokio::select! {
        () = ctrl_c() => "Ctrl-C",
        () = terminate() => "SIGTERM",
    };
    info!(signal, "told to end");
}

async fn ctrl_c() {
    if let Err(error) = tokio::signal::ctrl_c().await {
        warn!("Ctrl-C is not seen: {error}");
        std::future::pending().await
    }
}

#[cfg(unix)]
async fn terminate() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => {
            if terminate.recv().await.is_some() {
                return;
            }
        }
        Err(error) => warn!("SIGTERM is not seen: {error}"),
    }
    std::future::pending().await
}

#[cfg(not(unix))]
async fn terminate() {
    std::future::pending().await
}
