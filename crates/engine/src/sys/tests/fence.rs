use std::fs;
use std::os::unix::fs::symlink;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::*;
use crate::file::tests::in_memory;

fn open(path: &Path) -> Dir {
    Dir::open(path).expect("it is there")
}

#[test]
fn pth_08_a_name_of_more_than_one_component_is_none() {
    let dir = in_memory();
    let dir = open(dir.path());
    for name in ["", ".", "..", "a/", "/a", "a/b", "../a", "a/..", "./a", "a/."] {
        let tried = std::panic::catch_unwind(|| dir.entry(name));
        assert!(tried.is_err(), "{name:?}");
    }
    assert!(dir.entry("...").path().ends_with("..."));
}

#[cfg(all(target_os = "linux", not(thence_portable)))]
#[test]
fn pth_16_whatever_takes_the_directorys_place_is_never_looked_at() {
    let (scene, names) = (in_memory(), ["a", "b", "c", "link", "new"]);
    let [given, moved, victim] = ["given", "moved", "victim"].map(|name| scene.path().join(name));
    for path in [&given, &victim] {
        fs::create_dir(path).unwrap();
        names[..3].iter().for_each(|name| fs::write(path.join(name), *name).unwrap());
    }
    let dir = open(&given);
    let [a, b, c, link, new] = names.map(|name| dir.entry(name));
    fs::rename(&given, &moved).unwrap();
    symlink(&victim, &given).unwrap();

    write_at(&create_new(&new).unwrap(), 0, &mut [io::IoSlice::new(b"new")]).unwrap();
    let (file, _) = open_regular(&a, true).unwrap().unwrap();
    write_at(&file, 0, &mut [io::IoSlice::new(b"x")]).unwrap();
    exchange(&a, &b).unwrap();
    link_new(&c, &link).unwrap();
    rename_over(&link, &c).unwrap();
    rename_new(&c, &link).unwrap();
    remove(&a).unwrap();
    sync_dir(&dir).unwrap();
    assert!(facts_at(&a).unwrap().is_none() && facts_at(&new).unwrap().is_some_and(|new| new.size == 3));
    let mut there = names_in(&dir, 100).unwrap().0;
    there.sort();
    assert_eq!(there, ["b", "link", "new"]);
    assert_eq!(dir.whereabouts(), moved);
    assert_eq!(fs::read(moved.join("b")).unwrap(), b"x");
    let untouched = |name: &&str| fs::read(victim.join(name)).unwrap() == name.as_bytes();
    assert!(names[..3].iter().all(untouched) && fs::read_dir(&victim).unwrap().count() == 3);
}

#[test]
fn pth_06_of_two_who_take_a_name_at_once_one_has_it_ten_thousand_times() {
    let dir = in_memory();
    let forms: [fn(&Entry, &Entry) -> io::Result<()>; 3] = [rename_new, link_new, claim_new];
    let (start, entry) = (Barrier::new(2), |name: &str| open(dir.path()).entry(name));
    let (to, from) = (entry("to"), [entry("one"), entry("two")]);
    let take = |which: usize, round: usize| {
        fs::write(from[which].path(), [which as u8]).unwrap();
        start.wait();
        let taken = forms[round % 3](&from[which], &to);
        start.wait();
        taken.map_err(|e| e.kind())
    };
    for round in 0..10_000 {
        let (one, two) = thread::scope(|scope| {
            let other = scope.spawn(|| take(1, round));
            (take(0, round), other.join().expect("no panic"))
        });
        let winner = u8::from(two.is_ok());
        assert!(one.is_ok() != two.is_ok(), "round {round}: {one:?}, {two:?}");
        assert_eq!(one.or(two).err(), None);
        assert_eq!(fs::read(to.path()).unwrap(), [winner], "round {round}");
        assert!(from[1 - usize::from(winner)].path().exists(), "round {round}: the loser's file is gone");
        fs::remove_file(to.path()).unwrap();
    }
}

#[test]
fn pth_10_a_name_that_flickers_between_file_and_link_never_leads_out_ten_thousand_times() {
    let (dir, outside) = (in_memory(), in_memory());
    let victim = open(outside.path()).entry("victim");
    fs::write(victim.path(), "mine").unwrap();
    let victim_id = facts_at(&victim).unwrap().unwrap().id;
    let (name, spare) = (open(dir.path()).entry("name"), dir.path().join("spare"));
    let over = AtomicBool::new(false);
    /// Also when the test fails: the other thread is waited for.
    struct End<'a>(&'a AtomicBool);
    impl Drop for End<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let (mut files, mut links) = (0, 0);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                symlink(victim.path(), &spare).unwrap();
                fs::rename(&spare, name.path()).unwrap();
                fs::write(&spare, "a file").unwrap();
                fs::rename(&spare, name.path()).unwrap();
            }
        });
        let _end = End(&over);
        // What was looked at may be another thing when it is opened: each of the two steps is held to it.
        while files + links < 10_000 || files == 0 || links == 0 {
            let opened = reach::open(&name, true).map_err(|e| fault(&e));
            let looked = open_regular(&name, true).map_err(|e| e.fault);
            for tried in [opened.map(Some), looked.map(|there| Some(there?.0))] {
                match tried {
                    Ok(Some(file)) if facts(&file).unwrap().id != victim_id => files += 1,
                    Ok(None) | Err(DiskFault::Missing) => {}
                    other => {
                        assert_eq!(other.err(), Some(DiskFault::Strange), "it led to the victim");
                        links += 1;
                    }
                }
            }
        }
    });
    assert_eq!(fs::read(victim.path()).unwrap(), b"mine");
}
