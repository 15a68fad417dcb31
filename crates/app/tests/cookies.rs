//! Cookies: row CRD-13 and R59, R65 on the built program, beside curl.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop here")]

mod harness;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use harness::{BLOCK, LEN, Scene};
use thence_origin::ca::{Authority, Kind};
use thence_origin::honest::{self, Answer};
use thence_origin::real::{are_here, program};
use thence_origin::{Origin, Reply, Request};

/// The cookies that a request came with.
fn sent(request: &Request) -> &str {
    request.header("cookie").unwrap_or_default()
}

fn sets(answer: &mut Answer, cookie: &str) {
    answer.fields.push(("Set-Cookie".into(), cookie.into()));
}

/// Sends whoever has no login to where one is set, and from there on.
fn login(scene: &Scene) {
    let file = scene.file.clone();
    scene.serve(move |request, out| match (&*request.target, sent(request)) {
        ("/file.bin", _) => {
            let set = "Set-Cookie: id=SECRET; Path=/in; HttpOnly; Max-Age=600\nSet-Cookie: seen=1";
            out.answer(302, &format!("Location: /in/file.bin\n{set}"), "");
        }
        (_, cookie) if cookie.contains("id=SECRET") => file.now().answer(request).send(request, out),
        _ => {
            out.answer(403, "", "");
        }
    });
}

/// A line of a file of cookies for this machine.
fn line(path: &str, secure: &str, pair: &str) -> String {
    format!("127.0.0.1\tFALSE\t{path}\t{secure}\t4000000000\t{}\n", pair.replace('=', "\t"))
}

/// A file of cookies in the home of the scene; its path.
fn file(scene: &Scene, text: &str) -> String {
    let path = scene.home().join("mine.txt");
    fs::write(&path, text).unwrap();
    path.display().to_string()
}

#[test]
fn cookies_come_from_a_command_as_well() {
    let scene = Scene::new();
    let pipe = scene.home().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let (to, text) = (pipe.clone(), line("/", "FALSE", "id=7"));
    let writer = std::thread::spawn(move || fs::write(to, text));
    scene.run(&["--load-cookies", pipe.to_str().unwrap()]).whole();
    writer.join().unwrap().unwrap();
    assert!(scene.requests().iter().all(|request| sent(request) == "id=7"));
}

#[test]
fn crd_13_a_login_that_a_redirect_sets_is_wanted_by_the_next_and_by_every_lane() {
    let scene = Scene::new();
    login(&scene);
    scene.run(&["-x4", "--cookies"]).whole();
    let asked = scene.requests();
    assert_eq!((asked[0].target.as_str(), sent(&asked[0])), ("/file.bin", ""));
    assert!(asked[1..].iter().all(|request| sent(request) == "id=SECRET; seen=1"), "{asked:?}");
    assert!(asked.len() > 3);
}

#[test]
fn crd_13_without_a_jar_nothing_is_kept_or_sent() {
    let scene = Scene::new();
    login(&scene);
    // The harness would bring its planted cookie, and with it a jar.
    let output = scene.command().args(["-x1", "-q", &scene.url()]).output().unwrap();
    assert_eq!(output.status.code(), Some(24), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(scene.requests().len() > 1 && scene.requests().iter().all(|request| sent(request).is_empty()));
}

#[test]
fn r59_another_host_gets_nothing_of_the_first_and_keeps_nothing_for_it() {
    let scene = Scene::new();
    let file_here = scene.file.clone();
    let other = Origin::start(move |request, out| {
        let mut answer = file_here.now().answer(request);
        sets(&mut answer, "evil=1; Domain=127.0.0.1");
        sets(&mut answer, "theirs=1");
        answer.send(request, out);
    });
    let target = other.url_as("localhost", "/target");
    scene.serve(move |_, out| {
        out.answer(302, &format!("Location: {target}\nSet-Cookie: id=SECRET"), "");
    });
    let (given, kept) = (file(&scene, &line("/", "FALSE", "given=SECRET")), scene.home().join("kept.txt"));
    scene.run(&["-x4", "--load-cookies", &given, "--save-cookies", kept.to_str().unwrap()]).whole();
    assert!(scene.requests().iter().all(|request| sent(request).contains("given=SECRET")));
    assert!(other.requests().iter().all(|request| ["", "theirs=1"].contains(&sent(request))));
    let kept = fs::read_to_string(kept).unwrap();
    assert!(
        kept.contains("\nlocalhost\tFALSE\t/\tFALSE\t0\ttheirs\t1\n") && !kept.contains("evil"),
        "{kept}"
    );
}

#[test]
fn r65_what_is_for_https_goes_over_it_alone() {
    let text = line("/", "TRUE", "safe=1") + &line("/", "FALSE", "any=2");
    let scene = Scene::new();
    scene.run(&["--load-cookies", &file(&scene, &text)]).whole();
    assert!(scene.requests().iter().all(|request| sent(request) == "any=2"));
    let authority = Authority::new();
    let scene =
        Scene::tls(&authority.leaf(Kind::Good)).with(&["--cacert", authority.cacert().to_str().unwrap()]);
    scene.run(&["--load-cookies", &file(&scene, &text)]).whole();
    assert!(scene.requests().iter().all(|request| sent(request) == "safe=1; any=2"));
}

#[test]
fn what_is_saved_is_private_and_good_for_the_next_run_and_for_curl() {
    if !are_here(&["curl"]) {
        return;
    }
    let scene = Scene::new();
    login(&scene);
    let kept = scene.home().join("kept.txt");
    let kept = kept.to_str().unwrap();
    fs::write(kept, "an older one").unwrap();
    fs::set_permissions(kept, PermissionsExt::from_mode(0o644)).unwrap();
    scene.run(&["--save-cookies", kept]).whole();
    assert_eq!(fs::metadata(kept).unwrap().permissions().mode() & 0o777, 0o600);
    let direct = scene.origin.url("/in/again.bin");
    scene.run_bare(&["--load-cookies", kept, &direct]).bytes("again.bin").code(0);
    let curl = |args: &[&str]| {
        let output =
            Command::new(program("curl").unwrap()).args(["-sS", "-f", "--noproxy", "*"]).args(args).output();
        let output = output.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    };
    assert_eq!(curl(&["-b", kept, &scene.origin.url("/in/curl.bin")]), scene.bytes());
    let asked = scene.requests();
    assert_eq!(sent(asked.last().unwrap()), "id=SECRET; seen=1", "both of them, in their order");
    // And what curl saved.
    let (theirs, url) = (scene.home().join("curl.txt"), scene.url());
    assert_eq!(curl(&["-L", "-c", theirs.to_str().unwrap(), &url]), scene.bytes());
    scene.run_bare(&["--load-cookies", theirs.to_str().unwrap(), &scene.origin.url("/in/third.bin")]).code(0);
    assert!(sent(scene.requests().last().unwrap()).contains("id=SECRET"));
}

#[test]
fn cookies_of_a_run_that_fails_or_is_stopped_are_saved_as_well() {
    let scene = Scene::new();
    let kept = scene.home().join("kept.txt");
    scene.serve(|_, out| {
        out.answer(404, "Set-Cookie: id=1", "");
    });
    scene.run(&["--save-cookies", kept.to_str().unwrap()]).refused(3);
    assert!(fs::read_to_string(&kept).unwrap().contains("\tid\t1\n"));
    let scene = Scene::new();
    let file = scene.file.clone();
    scene.serve(move |request, out| {
        let mut answer = file.now().answer(request);
        sets(&mut answer, "id=2");
        out.head(answer.status, &answer.head());
        answer.span.1 = LEN / 2;
        answer.send_body(out);
        out.stall();
    });
    let running = scene.start(&["-x1", "--timeout", "600", "--save-cookies", kept.to_str().unwrap()]);
    running.holds(BLOCK);
    running.signal(rustix::process::Signal::INT);
    running.end().code(7);
    assert!(fs::read_to_string(&kept).unwrap().contains("\tid\t2\n"));
}

#[test]
fn a_file_that_cannot_be_saved_is_the_runs_own_failure() {
    let scene = Scene::new();
    let (kept, honest) = (scene.home().join("kept"), honest::handler(&scene.file));
    let taken = kept.clone();
    scene.serve(move |request: &Request, out: &mut Reply| {
        let _made_before = fs::create_dir(&taken);
        honest(request, out);
    });
    let kept = kept.to_str().unwrap();
    let outcome = scene.run(&["--save-cookies", kept]).bytes("file.bin").says("no regular file");
    outcome.says("were not saved").code(15);
}

#[test]
fn a_file_of_cookies_that_is_none_is_told_with_its_place_before_anything_is_asked() {
    let scene = Scene::new();
    let text = line("/", "FALSE", "a=SECRET") + "127.0.0.1\tFALSE\t/\tFALSE\tsoon\ta\tSECRET\n";
    let outcome = scene.run(&["--load-cookies", &file(&scene, &text)]).refused(28);
    outcome.says("mine.txt: line 2, column 25 is no number of seconds").says_not("SECRET");
    let json = file(&scene, "[{\"domain\": \"127.0.0.1\", \"value\": \"SECRET\"}]");
    scene
        .run(&["--load-cookies", &json])
        .refused(28)
        .says("line 1, column 1 has no tab in it")
        .says_not("SECRET");
    scene.run(&["--load-cookies", "none.txt"]).refused(15).says("none.txt: ");
    scene.run(&["--save-cookies", "none/kept.txt"]).refused(18).says("its directory does not exist");
    scene.run(&["--save-cookies", "."]).refused(15).says("is no regular file");
    assert_eq!(scene.requests(), []);
    scene.run_bare(&["status", "--cookies"]).code(28);
}

#[test]
fn crd_13_what_is_left_out_of_a_file_is_said() {
    let scene = Scene::new();
    let text = line("/", "FALSE", "a=1") + ".com\tTRUE\t/\tFALSE\t0\tb\tSECRET\n";
    let outcome = scene.run(&["--load-cookies", &file(&scene, &text)]).whole();
    outcome
        .says("mine.txt: 1 cookie is left out; the first (line or row 2) is for a whole public suffix")
        .says_not("SECRET");
    assert_eq!(sent(&scene.requests()[0]), "a=1");
}

#[test]
fn a_cookie_of_the_users_own_is_all_that_its_origin_gets() {
    let scene = Scene::new();
    let given = file(&scene, &line("/", "FALSE", "a=1"));
    scene.run(&["-H", "Cookie: mine=2", "--load-cookies", &given]).whole();
    assert!(scene.requests().iter().all(|request| sent(request) == "mine=2"));
}

#[test]
fn a_list_shares_one_jar() {
    let scene = Scene::new();
    let file = scene.file.clone();
    scene.serve(move |request, out| {
        let mut answer = file.now().answer(request);
        sets(&mut answer, "id=1");
        answer.send(request, out);
    });
    let kept = scene.home().join("kept.txt");
    fs::write(scene.path("list"), format!("{}\n{}\n", scene.url(), scene.origin.url("/two.bin"))).unwrap();
    scene.run_bare(&["-i", "list", "-j1", "--save-cookies", kept.to_str().unwrap()]).code(0);
    let last = scene.requests().into_iter().find(|request| request.target == "/two.bin").unwrap();
    assert_eq!(sent(&last), "id=1");
    assert!(fs::read_to_string(kept).unwrap().contains("\tid\t1\n"));
}

#[test]
fn cookies_of_a_browsers_store_are_sent() {
    if !are_here(&["sqlite3"]) {
        return;
    }
    let scene = Scene::new();
    let store = scene.home().join("cookies.sqlite");
    let statements = "PRAGMA user_version=17; CREATE TABLE moz_cookies (id INTEGER PRIMARY KEY, \
        originAttributes TEXT NOT NULL DEFAULT '', name TEXT, value TEXT, host TEXT, path TEXT, expiry INTEGER, \
        lastAccessed INTEGER, creationTime INTEGER, isSecure INTEGER, isHttpOnly INTEGER); \
        INSERT INTO moz_cookies VALUES (1, '', 'id', 'SECRET', '127.0.0.1', '/', 4000000000000, 1, 1, 0, 1), \
        (2, '^userContextId=1', 'work', 'SECRET', '127.0.0.1', '/', 4000000000000, 1, 1, 0, 1);";
    let made = Command::new(program("sqlite3").unwrap()).arg(&store).arg(statements).status().unwrap();
    assert!(made.success());
    let outcome = scene.run(&["-x2", "--load-cookies", store.to_str().unwrap()]).whole();
    outcome.says("1 cookie is of a container").says_not("SECRET");
    assert!(scene.requests().iter().all(|request| sent(request) == "id=SECRET"));
    let other = scene.home().join("History");
    let made = Command::new(program("sqlite3").unwrap()).arg(&other).arg("CREATE TABLE urls(url);").status();
    assert!(made.unwrap().success());
    let outcome = scene.run(&["--exists", "overwrite", "--load-cookies", other.to_str().unwrap()]);
    outcome.says("neither Firefox's table of cookies nor Chromium's").code(28);
}
