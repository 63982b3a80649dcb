//! Programs that log in by themselves, and what they may ask.

use serde_json::{Value, json};

use crate::harness::{Gateway, ROUTES, Request, Response, password_of, token};

pub(crate) struct Client {
    pub(crate) id: String,
    pub(crate) secret: String,
}

#[track_caller]
pub(crate) fn add(gateway: &Gateway, name: &str, roles: &[&str]) -> Client {
    let roles = roles.iter().flat_map(|role| ["--role", role]);
    let words = ["client", "add", name, "--json"].into_iter().chain(roles);
    secret_of(&gateway.cli(words).ok().json())
}

#[track_caller]
fn secret_of(answer: &Value) -> Client {
    let text = |member: &str| answer[member].as_str().unwrap().to_owned();
    Client { id: text("client_id"), secret: text("client_secret") }
}

fn grant(client: &Client) -> Request {
    Request::form("/token", &[("grant_type", "client_credentials")]).basic(&client.id, &client.secret)
}

#[track_caller]
fn access(response: &Response) -> String {
    assert_eq!(response.status, 200, "{}", response.text());
    response.json()["access_token"].as_str().unwrap().to_owned()
}

#[track_caller]
fn assert_invalid_client(response: &Response, challenged: bool) {
    assert_eq!(
        (response.status, &response.json()["error"]),
        (401, &json!("invalid_client")),
        "{}",
        response.text()
    );
    let challenge = response.header("www-authenticate");
    assert_eq!(challenge.is_some_and(|it| it.starts_with("Basic realm=")), challenged);
}

fn introspect(gateway: &Gateway, client: &Client, token: &str) -> Response {
    gateway.send(&Request::form("/auth/introspect", &[("token", token)]).basic(&client.id, &client.secret))
}

#[test]
fn rfc_6749_4_4_a_client_logs_in_by_basic_and_by_post() {
    let gateway = Gateway::start(ROUTES);
    let client = add(&gateway, "reports", &["reader"]);
    let by_basic = gateway.send(&grant(&client));
    let fields = [
        ("grant_type", "client_credentials"),
        ("client_id", &*client.id),
        ("client_secret", &*client.secret),
    ];
    let by_post = gateway.send(&Request::form("/token", &fields));
    for response in [by_basic, by_post] {
        assert!(response.json().get("refresh_token").is_none(), "RFC 6749 §4.4.3");
        let token = access(&response);
        assert_eq!(gateway.get("/orders/7", &token).status, 200);
        assert_eq!(gateway.backend.last().header_values("x-user"), ["reports"]);
        assert_eq!(gateway.backend.last().header_values("x-role"), ["reader"]);
        assert_eq!(token::parts(&token).claims["client_id"], "reports");
    }
}

#[test]
fn rfc_6749_2_3_a_client_authenticates_in_one_way_and_rightly() {
    let gateway = Gateway::start(ROUTES);
    let client = add(&gateway, "reports", &["reader"]);
    let credentials = ("grant_type", "client_credentials");
    let wrong = Client { id: client.id.clone(), secret: "pcs_wrong".to_owned() };
    assert_invalid_client(&gateway.send(&grant(&wrong)), true);
    assert_invalid_client(&gateway.send(&grant(&Client { id: "nobody".to_owned(), ..wrong })), true);
    let fields = [credentials, ("client_id", &*client.id), ("client_secret", "x")];
    assert_invalid_client(&gateway.send(&Request::form("/token", &fields)), false);
    assert_invalid_client(&gateway.send(&Request::form("/token", &[credentials])), true);
    // One that has a secret has to show it.
    assert_invalid_client(
        &gateway.send(&Request::form("/token", &[credentials, ("client_id", &client.id)])),
        false,
    );
    let twice = [credentials, ("client_id", &*client.id), ("client_secret", &*client.secret)];
    let twice = gateway.send(&Request::form("/token", &twice).basic(&client.id, &client.secret));
    assert_eq!((twice.status, &twice.json()["error"]), (400, &json!("invalid_request")));
    let two_names =
        Request::form("/token", &[credentials, ("client_id", "other")]).basic(&client.id, &client.secret);
    assert_eq!(gateway.send(&two_names).json()["error"], "invalid_request");
    for header in ["Basic", "Basic !", "Basic YQ=="] {
        let request = Request::form("/token", &[credentials]).header("authorization", header);
        assert_eq!(gateway.send(&request).status, 401, "{header}");
    }
}

#[test]
fn a_secret_is_rotated_without_an_outage() {
    let gateway = Gateway::start(ROUTES);
    let old = add(&gateway, "reports", &[]);
    let new = secret_of(&gateway.cli(["client", "rotate", "reports", "--json"]).ok().json());
    for client in [&old, &new] {
        access(&gateway.send(&grant(client)));
    }
    let only = secret_of(&gateway.cli(["client", "rotate", "reports", "--end-old", "--json"]).ok().json());
    access(&gateway.send(&grant(&only)));
    assert_invalid_client(&gateway.send(&grant(&old)), true);
    assert_invalid_client(&gateway.send(&grant(&new)), true);
}

#[test]
fn disabling_a_client_ends_its_tokens() {
    let gateway = Gateway::start(ROUTES);
    let client = add(&gateway, "reports", &["reader"]);
    let token = access(&gateway.send(&grant(&client)));
    assert_eq!(gateway.get("/anyone/x", &token).status, 200);
    gateway.cli(["client", "disable", "reports"]).ok();
    assert_eq!(gateway.get("/anyone/x", &token).status, 401);
    assert_invalid_client(&gateway.send(&grant(&client)), true);
    gateway.cli(["client", "enable", "reports"]).ok();
    let next = access(&gateway.send(&grant(&client)));
    gateway.cli(["client", "remove", "reports"]).ok();
    assert_eq!(gateway.get("/anyone/x", &next).status, 401);
    assert_invalid_client(&gateway.send(&grant(&client)), true);
}

#[test]
fn a_client_is_no_user_and_a_user_no_client() {
    let gateway = Gateway::start(ROUTES);
    let client = add(&gateway, "reports", &[]);
    gateway.add_user("alice", "reader");
    let as_user = gateway.login_with(&client.id, &client.secret);
    assert_eq!((as_user.status, &as_user.json()["error"]), (400, &json!("invalid_grant")));
    assert_eq!(gateway.login_with(&client.id, "").status, 400);
    let as_client = Client { id: "alice".to_owned(), secret: password_of("alice") };
    assert_invalid_client(&gateway.send(&grant(&as_client)), true);
    assert!(!gateway.cli(["user", "list"]).ok().stdout.contains("reports"));
    let list = gateway.cli(["client", "list"]).ok().stdout;
    assert!(list.contains("reports") && !list.contains("alice"), "{list}");
    let shown = gateway.cli(["client", "show", "reports"]).ok().stdout;
    assert!(!shown.contains(&client.secret), "{shown}");
    assert_eq!(gateway.cli(["client", "add", "alice"]).status, 1);
    assert_eq!(gateway.cli(["user", "disable", "reports"]).status, 1);
}

/// RFC 6749 §6, §10.4: a refresh token is bound to the client that it was given to.
#[test]
fn a_refresh_token_is_for_its_client_only() {
    let gateway = Gateway::start(ROUTES);
    let (own, other) = (add(&gateway, "shop", &[]), add(&gateway, "reports", &[]));
    gateway.add_user("alice", "reader");
    let login = [("grant_type", "password"), ("username", "alice"), ("password", &*password_of("alice"))];
    let login = gateway.send(&Request::form("/token", &login).basic(&own.id, &own.secret)).json();
    assert_eq!(token::parts(login["access_token"].as_str().unwrap()).claims["client_id"], "shop");
    let fields =
        [("grant_type", "refresh_token"), ("refresh_token", login["refresh_token"].as_str().unwrap())];
    let request = Request::form("/token", &fields);
    for refused in [gateway.send(&request), gateway.send(&request.clone().basic(&other.id, &other.secret))] {
        assert_eq!((refused.status, &refused.json()["error"]), (400, &json!("invalid_grant")));
    }
    let next = gateway.send(&request.basic(&own.id, &own.secret));
    let next = next.json()["refresh_token"].as_str().unwrap().to_owned();
    let revoke = Request::form("/auth/revoke", &[("token", &next)]);
    for refused in [gateway.send(&revoke), gateway.send(&revoke.clone().basic(&other.id, &other.secret))] {
        assert_eq!((refused.status, &refused.json()["error"]), (400, &json!("unauthorized_client")));
    }
    assert_eq!(gateway.send(&revoke.basic(&own.id, &own.secret)).status, 200);
}

#[test]
fn rfc_7662_a_client_learns_what_a_token_is_worth() {
    let gateway = Gateway::start(ROUTES);
    let client = add(&gateway, "shop", &[]);
    let token = gateway.token_for("alice", "reader admin");
    let response = introspect(&gateway, &client, &token);
    assert_eq!((response.status, response.headers.list("cache-control")), (200, vec!["no-store".to_owned()]));
    let (answer, claims) = (response.json(), token::parts(&token).claims);
    assert_eq!((&answer["active"], &answer["scope"]), (&json!(true), &json!("admin reader")));
    assert_eq!((&answer["username"], &answer["token_type"]), (&json!("alice"), &json!("Bearer")));
    for member in ["client_id", "exp", "iat", "sub", "aud", "iss", "jti"] {
        assert_eq!(answer[member], claims[member], "{member}");
    }
}

#[test]
fn rfc_7662_of_a_token_that_does_not_pass_nothing_is_said() {
    let gateway = Gateway::start(ROUTES);
    let client = add(&gateway, "shop", &[]);
    let token = gateway.token_for("alice", "reader");
    let foreign = Gateway::start(ROUTES).token_for("alice", "reader");
    let login = gateway.login_with("alice", &password_of("alice")).json();
    let not_its_own = login["refresh_token"].as_str().unwrap();
    gateway.cli(["user", "roles", "alice", "--role", "admin"]).ok();
    for token in [&token, &foreign, "x", "prt_x", not_its_own] {
        assert_eq!(introspect(&gateway, &client, token).text(), r#"{"active":false}"#, "{token}");
    }
}

#[test]
fn rfc_7662_a_client_learns_of_its_own_refresh_tokens() {
    let gateway = Gateway::start(ROUTES);
    let client = add(&gateway, "shop", &[]);
    gateway.add_user("alice", "reader");
    let login = [("grant_type", "password"), ("username", "alice"), ("password", &*password_of("alice"))];
    let login = gateway.send(&Request::form("/token", &login).basic(&client.id, &client.secret)).json();
    let token = login["refresh_token"].as_str().unwrap();
    let answer = introspect(&gateway, &client, token).json();
    assert_eq!((&answer["active"], &answer["client_id"]), (&json!(true), &json!("shop")));
    assert!(answer.get("token_type").is_none() && answer["exp"].is_u64());
    let fields = [("grant_type", "refresh_token"), ("refresh_token", token)];
    assert_eq!(gateway.send(&Request::form("/token", &fields).basic(&client.id, &client.secret)).status, 200);
    assert_eq!(introspect(&gateway, &client, token).text(), r#"{"active":false}"#, "it was used");
}

#[test]
fn rfc_7662_nobody_asks_without_being_a_client() {
    let gateway = Gateway::start(ROUTES);
    let token = gateway.token_for("alice", "reader");
    let request = Request::form("/auth/introspect", &[("token", &token)]);
    assert_invalid_client(&gateway.send(&request), true);
    assert_invalid_client(&gateway.send(&request.clone().bearer(&token)), true);
    assert_invalid_client(&gateway.send(&request.basic("alice", &password_of("alice"))), true);
}

/// RFC 6749 §2.3.1 wants names and secrets form-encoded in Basic, and many libraries leave that out.
#[test]
fn rfc_6749_2_3_1_names_are_understood_encoded_and_raw() {
    let gateway = Gateway::start(ROUTES);
    let client = add(&gateway, "ci+deploy@example.org", &["reader"]);
    for id in ["ci+deploy@example.org", "ci%2Bdeploy%40example.org", "ci%2bdeploy@example.org"] {
        access(&gateway.send(&grant(&Client { id: id.to_owned(), secret: client.secret.clone() })));
    }
    for id in ["ci++deploy@example.org", "cideploy@example.org", "ci%252Bdeploy@example.org"] {
        let other = Client { id: id.to_owned(), secret: client.secret.clone() };
        assert_invalid_client(&gateway.send(&grant(&other)), true);
    }
}

/// The tokens of a user who has logged in by way of a client.
#[track_caller]
fn login_by(gateway: &Gateway, client: &Client) -> (String, String) {
    let login = [("grant_type", "password"), ("username", "alice"), ("password", &*password_of("alice"))];
    let response = gateway.send(&Request::form("/token", &login).basic(&client.id, &client.secret));
    assert_eq!(response.status, 200, "{}", response.text());
    let text = |member: &str| response.json()[member].as_str().unwrap().to_owned();
    (text("access_token"), text("refresh_token"))
}

#[test]
fn with_a_client_end_the_sessions_of_users_that_it_logged_in() {
    let gateway = Gateway::start(ROUTES);
    gateway.add_user("alice", "reader");
    let direct = gateway.login("alice");
    for command in ["disable", "remove"] {
        let client = add(&gateway, "shop", &[]);
        let (access, refresh) = login_by(&gateway, &client);
        assert_eq!(gateway.get("/anyone/x", &access).status, 200);
        gateway.cli(["client", command, "shop"]).ok();
        assert_eq!(gateway.get("/anyone/x", &access).status, 401, "{command}");
        // Whoever has the name and a secret of it now, the session is not theirs.
        if command == "disable" {
            gateway.cli(["client", "remove", "shop"]).ok();
        }
        let again = add(&gateway, "shop", &[]);
        let fields = [("grant_type", "refresh_token"), ("refresh_token", &*refresh)];
        let refused = gateway.send(&Request::form("/token", &fields).basic(&again.id, &again.secret));
        assert_eq!((refused.status, &refused.json()["error"]), (400, &json!("invalid_grant")), "{command}");
        gateway.cli(["client", "remove", "shop"]).ok();
    }
    assert_eq!(gateway.get("/anyone/x", &direct).status, 200, "other sessions go on");
}

#[test]
fn the_command_line_tells_clients_from_users_and_their_tokens_from_sessions() {
    let gateway = Gateway::start(ROUTES);
    let client = add(&gateway, "shop", &[]);
    let refused = gateway.site.cli_add_user("Shop", &[], &password_of("Shop"));
    assert!(
        refused.status == 1 && refused.stderr.contains("already a client \"shop\""),
        "{}",
        refused.stderr
    );
    let refused = gateway.cli(["session", "list", "--user", "shop"]);
    assert!(refused.status == 1 && refused.stderr.contains("is a client"), "{}", refused.stderr);
    let tokens: Vec<String> = (0..3).map(|_| access(&gateway.send(&grant(&client)))).collect();
    let session = token::parts(&tokens[0]).claims["sid"].as_str().unwrap().to_owned();
    for _ in ["first", "again"] {
        let told = gateway.cli(["session", "revoke", &session]).ok().stdout;
        assert!(told.contains("is none that is alive") && told.contains("refused from now on"), "{told}");
        assert_eq!(gateway.get("/anyone/x", &tokens[0]).status, 401);
    }
    assert_eq!(gateway.get("/anyone/x", &tokens[1]).status, 200);
    gateway.cli(["session", "revoke", "--user", "shop"]).ok();
    assert_eq!(gateway.get("/anyone/x", &tokens[2]).status, 401);
}
