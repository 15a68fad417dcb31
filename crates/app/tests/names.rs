//! Rows PTH: names, paths, links and permissions, each against the real program.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop here")]

mod harness;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, Stdio};

use harness::{BLOCK, LEN, Outcome, Scene};

/// A finished file under the name that this Content-Disposition gave.
fn disposed(disposition: &str) -> (Scene, String) {
    let scene = Scene::new();
    let disposition = disposition.to_owned();
    scene.file.change(|served| served.extra.push(("Content-Disposition".into(), disposition)));
    named(scene)
}

/// The one name in the directory after a good run; nothing may appear beside the directory.
fn named(scene: Scene) -> (Scene, String) {
    let beside = names(scene.dir().parent().unwrap());
    let outcome = scene.run(&["-x4"]);
    outcome.code(0);
    assert_eq!(outcome.left.len(), 1, "{:?}", outcome.left.keys());
    let name = outcome.left.keys().next().unwrap().clone();
    outcome.bytes(&name);
    let new: Vec<String> = names(scene.dir().parent().unwrap());
    let strange = new.iter().filter(|name| !beside.contains(name) && !name.starts_with(".tmp"));
    assert_eq!(strange.count(), 0, "{new:?}");
    (scene, name)
}

fn names(dir: &Path) -> Vec<String> {
    fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[track_caller]
fn is_one_safe_segment(name: &str) {
    let odd = name.starts_with(['.', '-', ' ']) || name.contains(['/', '\\', ':', '\0']) || name.is_empty();
    assert!(!odd, "{name:?}");
}

#[test]
fn pth_01_a_name_from_the_server_stays_in_the_directory() {
    for name in ["../../x", "/etc/x", "..\\\\x", "C:\\\\x", "x/../../y", "%2e%2e%2fz", ".bashrc", "..", "."] {
        let (_, name) = disposed(&format!("attachment; filename=\"{name}\""));
        is_one_safe_segment(&name);
    }
}

#[test]
fn pth_02_the_extended_name_wins_when_it_is_valid() {
    for (given, want) in [
        ("filename*=UTF-8''..%2Fx", "x"),
        ("filename=\"plain\"; filename*=UTF-8''%C3%A4b", "\u{e4}b"),
        ("filename=\"plain\"; filename*=KOI8-R''%C3", "plain"),
        ("filename=\"plain\"; filename*=UTF-8''%C3%", "plain"),
    ] {
        assert_eq!(disposed(&format!("attachment; {given}")).1, want, "{given}");
    }
}

#[test]
fn pth_03_a_name_that_is_ours_is_changed() {
    for name in ["x.part", "x.thence"] {
        assert_eq!(disposed(&format!("attachment; filename=\"{name}\"")).1, format!("{name}_"));
    }
}

#[test]
fn pth_04_a_name_from_the_url_stays_in_the_directory() {
    for path in ["/%2e%2e/%2fetc%2fpasswd", "/a%2Fb", "/a%5Cb", "/a%00b", "/..%2f..%2fx", "/"] {
        is_one_safe_segment(&named(Scene::new().at(path)).1);
    }
}

#[test]
fn pth_05_a_redirect_gives_no_name() {
    for target in ["/.wgetrc", "/x.exe"] {
        let scene = Scene::new();
        let file = scene.file.clone();
        scene.serve(move |request, out| match request.target.as_str() {
            "/file.bin" => {
                out.answer(302, &format!("Location: {target}"), "");
            }
            _ => file.now().answer(request).send(request, out),
        });
        scene.run(&["-x4"]).whole();
    }
}

#[test]
fn pth_06_a_taken_name_is_never_written_to() {
    let taken = |args: &[&str]| -> Outcome {
        let scene = Scene::new();
        fs::write(scene.path("file.bin"), "mine").unwrap();
        let outcome = scene.run(args);
        let kept = fs::read(scene.path("file.bin")).unwrap() == b"mine";
        assert_eq!(kept, !args.contains(&"--exists=overwrite"));
        outcome
    };
    let renamed = taken(&[]);
    renamed.code(0);
    renamed.bytes("file.1.bin");
    let refused = taken(&["-o", "file.bin"]);
    refused.code(13);
    assert_eq!(refused.left.keys().collect::<Vec<_>>(), ["file.bin"]);
    taken(&["--exists=error"]).code(13);
    taken(&["--exists=overwrite"]).whole();
}

#[test]
fn pth_06_a_name_that_is_taken_meanwhile_is_never_written_to() {
    for round in 0..10 {
        let scene = Scene::new();
        scene.stop_at(LEN / 2);
        let running =
            scene.start(&["-x4", if round % 2 == 0 { "--exists=rename" } else { "--exists=error" }]);
        running.holds(BLOCK);
        fs::write(scene.path("file.bin"), "mine").unwrap();
        scene.go_on();
        let outcome = running.end();
        assert_eq!(fs::read(scene.path("file.bin")).unwrap(), b"mine");
        if round % 2 == 0 {
            outcome.bytes("file.1.bin");
        } else {
            outcome.code(13);
            outcome.bytes("file.bin.part");
        }
    }
}

#[test]
fn pth_10_a_link_in_the_place_of_a_part_is_not_followed() {
    for suffix in [".part", ".thence"] {
        let scene = Scene::new();
        let victim = scene.home().join("victim");
        fs::write(&victim, "victim").unwrap();
        symlink(&victim, scene.path(&format!("file.bin{suffix}"))).unwrap();
        let outcome = scene.run(&["-o", "file.bin"]);
        assert_ne!(outcome.code, Some(0), "{}", outcome.stderr);
        assert_eq!(fs::read(&victim).unwrap(), b"victim");
        assert!(!scene.path("file.bin").exists());
    }
}

#[test]
fn pth_10_not_even_to_a_part_of_ours() {
    for suffix in [".part", ".thence"] {
        let scene = Scene::new();
        scene.hold(LEN / 2, &["-x1"]);
        let (path, victim) = (scene.path(&format!("file.bin{suffix}")), scene.home().join("victim"));
        fs::rename(&path, &victim).unwrap();
        symlink(&victim, &path).unwrap();
        let before = fs::read(&victim).unwrap();
        scene.honest();
        for args in [&["-o", "file.bin"][..], &[]] {
            assert_ne!(scene.run(args).code, Some(0));
            assert!(fs::read(&victim).unwrap() == before && !scene.path("file.bin").exists());
        }
    }
}

#[test]
fn pth_12_what_is_no_file_in_the_place_of_a_part_is_refused_at_once() {
    for kind in ["fifo", "directory", "socket", "device"] {
        for suffix in [".part", ".thence"] {
            let scene = Scene::new();
            let path = scene.path(&format!("file.bin{suffix}"));
            let socket = match kind {
                "fifo" => make_node(&path, "p"),
                "device" => make_node(&path, "c"),
                "directory" => fs::create_dir(&path).map(|()| None).unwrap(),
                _ => Some(UnixListener::bind(&path).unwrap()),
            };
            let outcome = scene.run(&["-o", "file.bin"]);
            drop(socket);
            assert!([13, 15].contains(&outcome.code.unwrap()), "{kind}{suffix}: {}", outcome.stderr);
            assert!(fs::symlink_metadata(&path).is_ok_and(|meta| !meta.is_file()));
        }
    }
}

/// A FIFO, or where we may the null device's sibling.
fn make_node(path: &Path, kind: &str) -> Option<UnixListener> {
    let mut command = Command::new("mknod");
    command.arg(path).arg(kind).args((kind == "c").then_some(["1", "3"]).iter().flatten());
    if !command.status().unwrap().success() {
        // Only root makes devices; a FIFO stands in.
        make_node(path, "p");
    }
    None
}

#[test]
fn pth_13_parts_are_private_and_files_follow_the_umask() {
    for (umask, mode) in [("000", 0o666), ("077", 0o600), ("022", 0o644)] {
        let scene = Scene::new();
        scene.stop_at(LEN / 2);
        let mut child = under(umask, &scene).spawn().unwrap();
        harness::until("half is held", || scene.held() >= LEN / 2);
        let modes = ["file.bin.part", "file.bin.thence"].map(|name| mode_of(&scene.path(name)));
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(modes, [0o600, 0o600]);
        scene.honest();
        assert!(under(umask, &scene).status().unwrap().success());
        assert_eq!(mode_of(&scene.path("file.bin")), mode);
    }
}

/// The program under a umask, which only a shell can give it.
fn under(umask: &str, scene: &Scene) -> Command {
    let program = scene.command();
    let mut command = Command::new("/bin/sh");
    command.args(["-c", "umask $0; exec \"$@\"", umask]).arg(program.get_program()).arg(scene.url());
    command.current_dir(scene.dir()).env_clear().stderr(Stdio::null());
    command.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command
}

fn mode_of(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn pth_16_a_link_that_takes_the_final_name_is_not_followed() {
    for exists in ["rename", "error", "overwrite"] {
        let scene = Scene::new();
        let victim = scene.home().join("victim");
        fs::write(&victim, "victim").unwrap();
        scene.stop_at(LEN / 2);
        let running = scene.start(&["--exists", exists, "-o", "file.bin"]);
        running.holds(LEN / 2);
        symlink(&victim, scene.path("file.bin")).unwrap();
        scene.go_on();
        let outcome = running.end();
        assert_eq!(fs::read(&victim).unwrap(), b"victim", "{exists}: {}", outcome.stderr);
        let replaced = !fs::symlink_metadata(scene.path("file.bin")).unwrap().is_symlink();
        assert_eq!(replaced, exists == "overwrite", "{exists}: {}", outcome.stderr);
    }
}

/// The download's directory is moved away while it runs, and a link to a stranger's takes its place.
#[test]
fn pth_16_a_directory_exchanged_for_a_link_gets_nothing() {
    for (exists, args) in [("rename", &["-x4"][..]), ("overwrite", &["-x1", "-o", "given/file.bin"])] {
        let scene = Scene::new();
        let [given, moved, victim] = ["given", "moved", "victim"].map(|name| scene.path(name));
        for dir in [&given, &victim] {
            fs::create_dir(dir).unwrap();
        }
        fs::write(victim.join("file.bin.part"), "mine").unwrap();
        scene.stop_at(LEN / 2);
        let place = if args.len() == 1 { &["-d", "given"][..] } else { &[] };
        let running = scene.start(&[args, place, &["--exists", exists]].concat());
        harness::until("the part is there", || given.join("file.bin.thence").exists());
        fs::rename(&given, &moved).unwrap();
        symlink(&victim, &given).unwrap();
        scene.go_on();
        let outcome = running.end().says(&moved.join("file.bin").to_string_lossy());
        outcome.code(0);
        assert_eq!(names(&moved), ["file.bin"]);
        assert!(fs::read(moved.join("file.bin")).unwrap() == scene.bytes(), "wrong bytes");
        assert_eq!(names(&victim), ["file.bin.part"], "{}", outcome.stderr);
        assert_eq!(fs::read(victim.join("file.bin.part")).unwrap(), b"mine");
    }
}

#[test]
fn a_file_has_the_time_of_its_publication_or_the_servers_if_that_is_asked_for() {
    let then = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
    let time = |path: &Path| fs::metadata(path).unwrap().modified().unwrap();
    let scene = Scene::new();
    scene.file.change(|served| served.modified = Some(then));
    let file = scene.path("file.bin");
    scene.run(&[]).whole();
    assert!(time(&file) > then + std::time::Duration::from_secs(1_000_000));
    fs::remove_file(&file).unwrap();
    scene.run(&["-R"]).whole();
    assert_eq!(time(&file), then);
    scene.run(&["-R"]).code(0);
    scene.run(&[]).says("already complete").code(0);
    // Small files of a list go another way; there the option can be said of each.
    let scene = Scene::of(thence_origin::Served::new(thence_origin::files::content(1, 1_000)));
    scene.file.change(|served| served.modified = Some(then));
    let list = scene.home().join("list");
    fs::write(&list, format!("{}\n  remote-time=true\n", scene.url())).unwrap();
    scene.run_bare(&["-i", list.to_str().unwrap()]).code(0);
    assert_eq!(time(&scene.path("file.bin")), then);
}
