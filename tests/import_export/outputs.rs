//! What `--output` may name besides a new file: devices, pipes, sockets, links, files that are there. And what is left when the
//! export fails or is killed.

use std::fs;
use std::io::Read;
use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Command;

use super::{Place, Said, many};

const LINES: u64 = 2_000;

fn place() -> Place {
    let place = Place::new();
    place.write("a.jsonl", many(LINES));
    place.import("data", &["a.jsonl"]).ok();
    place
}

fn export(place: &Place, output: &Path) -> Said {
    place.run("export", "data", &["Sample", "-o", output.to_str().unwrap()])
}

/// Files in a folder, hidden ones too.
fn names(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<String> = names.map(|name| name.into_string().unwrap()).collect();
    names.sort();
    names
}

fn make_pipe(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

#[test]
fn a_device_is_written_through_and_stays_a_device() {
    let place = place();
    for (device, code) in [("/dev/null", 0), ("/dev/full", 1)] {
        let link = place.path("link");
        symlink(device, &link).unwrap();
        for output in [Path::new(device), &link] {
            let said = export(&place, output);
            assert_eq!(said.code, code, "{device}: {}", said.stderr);
            if code == 1 {
                let told = format!("error: {} cannot be written (No space left", output.display());
                assert!(said.stderr.starts_with(&told), "{}", said.stderr);
            }
            assert!(fs::metadata(device).unwrap().file_type().is_char_device(), "{device}");
        }
        assert_eq!(fs::read_link(&link).unwrap(), Path::new(device), "the link is still one");
        fs::remove_file(&link).unwrap();
    }
}

#[test]
fn a_pipe_and_a_socket_get_what_a_file_would_get() {
    let place = place();
    export(&place, &place.path("file")).ok();
    let expected = fs::read_to_string(place.path("file")).unwrap();

    let pipe = place.path("pipe");
    make_pipe(&pipe);
    let reading = std::thread::spawn({
        let pipe = pipe.clone();
        move || fs::read_to_string(pipe).unwrap()
    });
    export(&place, &pipe).ok();
    // First this: nothing would ever come through a pipe that was replaced.
    assert!(fs::metadata(&pipe).unwrap().file_type().is_fifo());
    assert_eq!(reading.join().unwrap(), expected);

    let socket = place.path("socket");
    let listener = UnixListener::bind(&socket).unwrap();
    let reading = std::thread::spawn(move || {
        let mut text = String::new();
        listener.accept().unwrap().0.read_to_string(&mut text).unwrap();
        text
    });
    export(&place, &socket).ok();
    assert!(fs::metadata(&socket).unwrap().file_type().is_socket());
    assert_eq!(reading.join().unwrap(), expected);

    // What the shell opened is written where the shell left off.
    let by_descriptor = |redirect: &str| {
        let line = format!("exec \"$@\" {redirect}");
        let mut shell = Command::new("sh");
        let export = place.command("export", "data", &["Sample", "-o", "/dev/stdout"]);
        shell.args(["-c", &line, "sh"]).arg(export.get_program()).args(export.get_args());
        Said::of(shell.current_dir(place.folder.path()).output().unwrap()).ok()
    };
    assert_eq!(by_descriptor("").stdout, expected, "a pipe");
    place.write("log", "before\n");
    by_descriptor(">> log");
    assert_eq!(fs::read_to_string(place.path("log")).unwrap(), format!("before\n{expected}"));
}

#[test]
fn a_link_leads_to_the_file_that_is_replaced_and_a_file_keeps_its_permissions() {
    let place = place();
    fs::create_dir(place.path("there")).unwrap();
    let file = place.write("there/file", "old");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    symlink("there/file", place.path("link")).unwrap();
    symlink("link", place.path("link-to-link")).unwrap();
    let held = fs::File::open(&file).unwrap();
    export(&place, &place.path("link-to-link")).ok();
    assert_eq!(fs::read_to_string(&file).unwrap().lines().count() as u64, LINES);
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o640);
    assert_eq!(fs::read_link(place.path("link")).unwrap(), Path::new("there/file"));
    let mut former = String::new();
    (&held).read_to_string(&mut former).unwrap();
    assert_eq!(former, "old", "a reader of the former file reads it to its end");
    assert_eq!(names(&place.path("there")), ["file"]);

    symlink("there/new", place.path("to-nothing")).unwrap();
    export(&place, &place.path("to-nothing")).ok();
    assert_eq!(fs::read_to_string(place.path("there/new")).unwrap().lines().count() as u64, LINES);
    symlink("circle", place.path("circle")).unwrap();
    export(&place, &place.path("circle")).refused(1, "oo many");
}

#[test]
fn an_unwritable_output_is_reported_and_left_as_it_is() {
    let place = place();
    fs::create_dir(place.path("folder")).unwrap();
    export(&place, &place.path("folder")).refused(1, "is a directory");
    export(&place, &place.path("no/file.csv")).refused(1, "there is no folder");
    assert!(names(&place.path("folder")).is_empty());

    // The export fails at its beginning, and in the middle: the file that was there still is.
    let kept = place.write("folder/kept.jsonl", "old");
    place.run("export", "no-data", &["Sample", "-o", kept.to_str().unwrap()]).refused(1, "no database");
    let full = limited(&place, &kept, "trap '' XFSZ;");
    assert!(String::from_utf8_lossy(&full.stderr).contains("cannot be written (File too large"), "{full:?}");
    assert_eq!(full.status.code(), Some(1));
    assert_eq!(
        (fs::read_to_string(&kept).unwrap().as_str(), names(&place.path("folder"))),
        ("old", vec!["kept.jsonl".to_owned()])
    );
}

#[test]
fn what_a_killed_export_left_is_gone_after_the_next() {
    let place = place();
    fs::create_dir(place.path("folder")).unwrap();
    let file = place.write("folder/file.jsonl", "old");
    let killed = limited(&place, &file, "");
    assert!(killed.status.signal().is_some(), "{killed:?}");
    assert_eq!(fs::read_to_string(&file).unwrap(), "old");
    let left = names(&place.path("folder"));
    assert_eq!((left.len(), left[1].as_str()), (2, "file.jsonl"), "the half file has another name: {left:?}");
    let half = fs::metadata(place.path("folder").join(&left[0])).unwrap().len();
    assert_eq!(half, 64 << 10, "it died in the middle of a write");
    export(&place, &file).ok();
    assert_eq!(names(&place.path("folder")), ["file.jsonl"]);
    assert_eq!(fs::read_to_string(&file).unwrap().lines().count() as u64, LINES);
}

/// Two exports into one folder: the draft of one that lives is not taken for a leftover.
#[test]
fn an_export_leaves_the_draft_of_another_alone() {
    let place = place();
    let pipe = place.path("pipe");
    make_pipe(&pipe);
    let draft = place.write(".tidewire-000000.part", "of another process");
    let held = fs::File::open(&draft).unwrap();
    held.lock().unwrap();
    export(&place, &place.path("file")).ok();
    assert!(draft.exists(), "its process still holds it");
    drop(held);
    export(&place, &place.path("file")).ok();
    assert!(!draft.exists());
}

/// An export whose files may have 64 KiB, which is less than the export and more than SQLite's shared memory; it dies at that byte, unless the shell ignores the signal.
fn limited(place: &Place, output: &Path, trap: &str) -> std::process::Output {
    let export = place.command("export", "data", &["Sample", "-o", output.to_str().unwrap()]);
    let line = format!("ulimit -c 0; {trap} ulimit -f 128; exec \"$@\"");
    let mut shell = Command::new("sh");
    shell.args(["-c", &line, "sh"]).arg(export.get_program()).args(export.get_args());
    shell.current_dir(place.folder.path()).output().unwrap()
}
