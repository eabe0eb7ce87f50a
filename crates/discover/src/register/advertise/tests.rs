use super::*;

fn bound(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn configured(address: &str) -> Advertise {
    Advertise {
        address: Some(address.into()),
        ..Advertise::default()
    }
}

#[test]
fn the_configuration_is_before_the_variable_and_that_before_the_listener() {
    let listening = bound("10.0.0.5:80");
    let none = Advertise::default();
    let explicit = configured("10.0.0.7:90");
    let unread = Advertise {
        variable: None,
        ..Advertise::default()
    };
    let name = || AdvertisedBy::Variable("EVENKEEL_ADVERTISE".into());
    for (advertise, variable, address, by) in [
        (
            &explicit,
            Some("10.0.0.6"),
            "10.0.0.7:90",
            AdvertisedBy::Configuration,
        ),
        (&none, Some("10.0.0.6"), "10.0.0.6:80", name()),
        (&none, Some(" pod-7.svc:99 "), "pod-7.svc:99", name()),
        (&none, Some("  "), "10.0.0.5:80", AdvertisedBy::Listener),
        (&none, None, "10.0.0.5:80", AdvertisedBy::Listener),
        (&unread, None, "10.0.0.5:80", AdvertisedBy::Listener),
    ] {
        let given = advertise.given(variable, listening).unwrap().unwrap();
        assert_eq!(
            (given.address.to_string().as_str(), given.by),
            (address, by)
        );
    }
    let everywhere = bound("0.0.0.0:80");
    assert_eq!(none.given(None, everywhere), Ok(None), "a route is needed");
}

#[test]
fn a_missing_port_is_the_listeners() {
    for (text, expected) in [
        ("10.0.0.7", "10.0.0.7:80"),
        ("10.0.0.7:90", "10.0.0.7:90"),
        ("fd00::7", "[fd00::7]:80"),
        ("[fd00::7]", "[fd00::7]:80"),
        ("[fd00::7]:90", "[fd00::7]:90"),
        ("user.internal", "user.internal:80"),
        ("unix:/run/user.sock", "unix:///run/user.sock"),
    ] {
        assert_eq!(address(text, 80).unwrap().to_string(), expected, "{text}");
    }
}

#[test]
fn what_clients_cannot_dial_is_refused_and_says_who_said_it() {
    let listening = bound("0.0.0.0:80");
    for (advertise, variable, text) in [
        (
            configured("0.0.0.0"),
            None,
            "cannot advertise 0.0.0.0:80, as the configuration says",
        ),
        (
            Advertise::default(),
            Some("[::]:80"),
            "as the environment variable EVENKEEL_ADVERTISE says: name the address",
        ),
        (
            configured("http://10.0.0.7:80"),
            None,
            "what the configuration says: invalid address \"http://10.0.0.7:80\"",
        ),
        (
            configured("10.0.0.7:http"),
            None,
            "the port is not a number",
        ),
        (configured(""), None, "expected host or host:port"),
    ] {
        let error = advertise.given(variable, listening).unwrap_err();
        assert!(error.to_string().contains(text), "{error}");
    }
    let port = Advertise::default().given(None, bound("10.0.0.5:0"));
    assert!(matches!(port, Err(AdvertiseError::Unspecified { .. })));
    let error = Advertise::default().no_route(listening).to_string();
    assert_eq!(
        error,
        "cannot tell which address of 0.0.0.0:80 clients reach: \
         set EVENKEEL_ADVERTISE to host or host:port, or listen on one"
    );
}

#[tokio::test]
async fn a_server_on_all_addresses_is_reached_by_the_one_that_leads_to_the_registry() {
    let unset = Advertise {
        variable: None,
        ..Advertise::default()
    };
    // The way to loopback begins on loopback, on every machine, where no other one finds it: it is
    // taken where nothing leads anywhere else. Names that do not resolve and addresses of the other
    // family are no way.
    let registry = ["no.such.name.invalid:1", "[::1]:2379", "127.0.0.1:2379"];
    let registry = registry.map(str::to_owned);
    let listening = bound("0.0.0.0:80");
    let chosen = unset.choose(listening, &registry).await.unwrap();
    match unset.choose(listening, &[]).await {
        Ok(elsewhere) => assert_eq!(chosen, elsewhere),
        Err(_) => assert_eq!(
            chosen.to_string(),
            "127.0.0.1:80, by the route to the registry at 127.0.0.1:2379"
        ),
    }
}
