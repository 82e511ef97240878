#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use gridwatch_core::record::{Chunk, Feed, FeedStatus, RecordMeta, SourceError};
use proptest::prelude::*;
use tempfile::TempDir;

use super::split::Splitter;
use super::*;

const CSV: FileFormat = FileFormat::Csv { delimiter: b',' };

fn file(folder: &TempDir, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

type Record = (RecordMeta, Vec<u8>);

/// All records up to the end or an error.
fn read(feed: &mut FileFeed) -> (Vec<Record>, Option<SourceError>) {
    let mut records = Vec::new();
    let mut chunk = Chunk::default();
    loop {
        chunk.clear();
        let status = feed.poll(&mut chunk, Duration::ZERO);
        records.extend(chunk.iter().map(|r| (RecordMeta { end: 0, ..r.meta }, r.bytes.to_vec())));
        match status {
            Ok(FeedStatus::More) => {}
            Ok(FeedStatus::Idle | FeedStatus::Away | FeedStatus::End) => return (records, None),
            Err(error) => return (records, Some(error)),
        }
    }
}

fn open(files: &[PathBuf], format: FileFormat) -> Result<FileFeed, SourceError> {
    FileFeed::open(files.to_vec(), FileFeedOptions::new(format))
}

fn open_error(files: &[PathBuf], options: FileFeedOptions) -> String {
    match FileFeed::open(files.to_vec(), options) {
        Ok(_) => panic!("the files were opened"),
        Err(error) => error.to_string(),
    }
}

fn texts(records: &[Record]) -> Vec<String> {
    let text = |(meta, bytes): &Record| {
        format!("{}-{} line {}: {}", meta.position, meta.next, meta.line, String::from_utf8_lossy(bytes))
    };
    records.iter().map(text).collect()
}

#[test]
fn lines_of_several_files_in_one_stretch() {
    let folder = TempDir::new().unwrap();
    let one = file(&folder, "1.jsonl", "\u{feff}{a}\r\n\n  \n{b}");
    let two = file(&folder, "2.jsonl", "");
    let three = file(&folder, "3.jsonl.gz", gzip(b"\xef\xbb\xbf{c}\n{d}\n"));
    let mut feed = open(&[one, two, three], FileFormat::JsonLines).unwrap();
    let (records, error) = read(&mut feed);
    assert_eq!(error, None);
    assert_eq!(
        texts(&records),
        ["3-6 line 1: {a}", "12-15 line 4: {b}", "18-21 line 1: {c}", "22-25 line 2: {d}"]
    );
    assert_eq!(feed.progress().bytes_read(), feed.progress().bytes_total());
}

#[test]
fn seeking_gives_what_reading_on_gives() {
    let folder = TempDir::new().unwrap();
    let lines: String = (0..3000).map(|n| format!("\"line\n{n}\",{n}\n")).collect();
    let one = file(&folder, "1.csv", format!("text,n\n{lines}"));
    let two = file(&folder, "2.csv.gz", gzip(format!("\u{feff}text,n\r\n{lines}").as_bytes()));
    let files = [one, two];
    let (all, _) = read(&mut open(&files, CSV).unwrap());
    assert_eq!(all.len(), 6000);
    assert_eq!(all[1].0.line, 4);
    let mut feed = open(&files, CSV).unwrap();
    for at in [0, 1, 2999, 3000, 3001, 5999, 17] {
        feed.seek(all[at].0.position).unwrap();
        assert_eq!(read(&mut feed).0, all[at..], "seek to the record");
        if let Some(before) = at.checked_sub(1) {
            feed.seek(all[before].0.next).unwrap();
            assert_eq!(read(&mut feed).0, all[at..], "seek to the end of the one before");
            let amid = feed.seek(all[before].0.position + 1).unwrap_err().to_string();
            assert!(amid.contains("more have been added"), "seek into the one before: {amid}");
        }
    }
    feed.seek(all[5999].0.next).unwrap();
    assert!(read(&mut feed).0.is_empty());
    let lost = feed.seek(all[5999].0.next + 2).unwrap_err();
    assert!(matches!(lost, SourceError::Lost { .. }), "{lost}");
}

#[test]
fn a_seek_before_the_first_poll_of_csv_reads_nothing_twice() {
    let folder = TempDir::new().unwrap();
    let path = file(&folder, "1.csv", "a,b\n1,2\n");
    let mut feed = open(&[path], CSV).unwrap();
    feed.seek(0).unwrap();
    assert_eq!(texts(&read(&mut feed).0), ["4-7 line 2: 1,2"]);
}

#[test]
fn a_line_that_is_too_long_is_cut_and_the_next_one_is_whole() {
    let folder = TempDir::new().unwrap();
    let long = "x".repeat(3 << 20);
    for (name, tail) in [("a", "\n{b}\n"), ("b", "\r\n{b}")] {
        let path = file(&folder, name, format!("{{a}}\n{long}{tail}"));
        let options =
            FileFeedOptions { record_bytes_max: 1000, ..FileFeedOptions::new(FileFormat::JsonLines) };
        let (records, _) = read(&mut FileFeed::open(vec![path], options).unwrap());
        assert_eq!(records.len(), 3);
        let (meta, bytes) = &records[1];
        assert_eq!((bytes.len(), meta.truncated, meta.line), (1000, true, 2));
        assert_eq!((&records[2].1[..], records[2].0.line), (&b"{b}"[..], 3));
        assert_eq!(records[2].0.position, meta.next + 1);
    }
}

#[test]
fn a_line_of_just_the_maximum_is_whole() {
    for (length, end, truncated) in [(64, "\n", false), (64, "\r\n", false), (65, "\n", true), (65, "", true)]
    {
        let folder = TempDir::new().unwrap();
        let path = file(&folder, "a", "y".repeat(length) + end + if end.is_empty() { "" } else { "{z}\n" });
        let options = FileFeedOptions { record_bytes_max: 64, ..FileFeedOptions::new(FileFormat::JsonLines) };
        let (records, _) = read(&mut FileFeed::open(vec![path], options).unwrap());
        assert_eq!((records[0].1.len(), records[0].0.truncated), (64, truncated), "{length} {end:?}");
        assert_eq!(records.len(), if end.is_empty() { 1 } else { 2 });
    }
}

#[test]
fn a_truncated_gzip_gives_what_is_whole_and_then_says_so() {
    let folder = TempDir::new().unwrap();
    let lines: String = (0..2000).map(|n| format!("{{\"n\":{n}}}\n")).collect();
    let packed = gzip(lines.as_bytes());
    let path = file(&folder, "a.jsonl.gz", &packed[..packed.len() / 2]);
    let (records, error) = read(&mut open(&[path], FileFormat::JsonLines).unwrap());
    assert!(!records.is_empty());
    assert!(lines.starts_with(
        &records.iter().map(|(_, bytes)| String::from_utf8_lossy(bytes) + "\n").collect::<String>()
    ));
    let error = error.expect("an error").to_string();
    assert!(error.contains("a.jsonl.gz") && error.contains("cut short"), "{error}");
    assert!(error.contains(&format!("{} records", records.len())), "{error}");
}

#[test]
fn what_cannot_be_read_is_said_at_open() {
    let folder = TempDir::new().unwrap();
    let good = file(&folder, "good.csv", "sensor_id,time\na,1\n");
    let error = |name: &str, bytes: &[u8], format| {
        let path = file(&folder, name, bytes);
        open_error(&[good.clone(), path], FileFeedOptions::new(format))
    };
    assert!(error("a", b"", CSV).ends_with("is empty: a CSV file begins with a line that names its columns"));
    assert!(error("b", b"\xff\xfea\0", CSV).contains("UTF-16"));
    assert!(error("c", b"PK\x03\x04", CSV).contains("zip"));
    assert!(error("d", b"time,sensor_id\n", CSV).contains("the columns differ from those of"));
    assert!(error("e", b"\n\na,a\n", CSV).contains("line 3: the column `a` stands twice"));
    let options = FileFeedOptions { columns_required: vec!["voltage".into()], ..FileFeedOptions::new(CSV) };
    let missing = open_error(std::slice::from_ref(&good), options);
    assert!(
        missing.ends_with("line 1: there is no column `voltage`; there are: sensor_id, time"),
        "{missing}"
    );
    assert!(missing.contains("good.csv"));
    let lines = FileFeedOptions::new(FileFormat::JsonLines);
    assert!(open_error(&[folder.path().join("nowhere")], lines.clone()).contains("nowhere"));
    assert!(open_error(&[folder.path().to_owned()], lines.clone()).contains("directory"));
    let packed = file(&folder, "f.gz", gzip(b"{}"));
    assert!(open_error(&[packed], FileFeedOptions { follow: true, ..lines }).contains("cannot be followed"));
}

#[test]
fn a_quote_that_never_closes_costs_one_line() {
    let folder = TempDir::new().unwrap();
    let rows: String = (0..50).map(|n| format!("{n},ok\n")).collect();
    for tail in [rows.clone(), rows.repeat(100)] {
        let path = file(&folder, "a.csv", format!("n,text\n1,\"open\n{tail}"));
        let options = FileFeedOptions { record_bytes_max: 4096, ..FileFeedOptions::new(CSV) };
        let (records, _) = read(&mut FileFeed::open(vec![path], options).unwrap());
        assert_eq!(records[0].1, b"1,\"open");
        assert_eq!(records.len(), 1 + tail.lines().count());
        assert_eq!(records[1].0.line, 3);
    }
}

/// The next quote in the file is another field's: what lies between is no field, and no line of it may be lost.
#[test]
fn a_quote_that_closes_in_another_line_takes_none_along() {
    let folder = TempDir::new().unwrap();
    let good: &[&str] = &["2,x", "3,\"y\"", "4,\"a \"\"b\"\" c\"", "5,\"two\nlines\"", "6,\"\"", "\"7\",z"];
    for at in 0..good.len() {
        let mut lines = good.to_vec();
        lines.insert(at, "1,\"open");
        for end in ["", "\n", "\r\n"] {
            let text = format!("n,text\n{}{end}", lines.join(if end.is_empty() { "\n" } else { end }));
            let text = text.replace("two\r\nlines", "two\nlines");
            let (records, _) = read(&mut open(&[file(&folder, "a.csv", text)], CSV).unwrap());
            let found: Vec<&[u8]> = records.iter().map(|(_, bytes)| &bytes[..]).collect();
            let expected: Vec<&[u8]> = lines.iter().map(|line| line.as_bytes()).collect();
            assert_eq!(found, expected, "{end:?}");
        }
    }
    // A field of many lines is one; of too many, a quote that nobody closed.
    let of_lines = |count: usize| format!("1,\"{}\"", vec!["x"; count].join("\n"));
    let text = format!("n,text\n{}\n{}\n2,y\n", of_lines(64), of_lines(65));
    let (records, _) = read(&mut open(&[file(&folder, "b.csv", text)], CSV).unwrap());
    assert_eq!(records[0].1, of_lines(64).as_bytes());
    assert_eq!(records[1].1, b"1,\"x");
    assert_eq!((records.len(), records[2].0.line), (2 + 64 + 1, 67));
}

/// Nothing is held back for long where one is followed.
#[test]
fn a_quote_that_nobody_closes_holds_a_followed_file_up_for_few_lines() {
    let folder = TempDir::new().unwrap();
    let rows: String = (0..100).map(|n| format!("{n},ok\n")).collect();
    let path = file(&folder, "a.csv", format!("n,text\n1,\"open\n{rows}"));
    let options = FileFeedOptions { follow: true, ..FileFeedOptions::new(CSV) };
    let (records, _) = read(&mut FileFeed::open(vec![path], options).unwrap());
    assert_eq!(records.len(), 1 + 100);
}

fn follow(path: &Path) -> FileFeed {
    let options = FileFeedOptions { follow: true, ..FileFeedOptions::new(FileFormat::JsonLines) };
    FileFeed::open(vec![path.to_owned()], options).unwrap()
}

/// Reads a file to its end, lets it grow, and goes on where the reading stopped.
fn goes_on(before: &str, added: &str, format: FileFormat, follow: bool) -> Result<Vec<String>, String> {
    let folder = TempDir::new().unwrap();
    let pack = |text: &str, name: &str| {
        if name.ends_with("gz") { gzip(text.as_bytes()) } else { text.as_bytes().to_vec() }
    };
    let mut answers = Vec::new();
    for name in ["a", "a.gz"] {
        let first = file(&folder, "0", if format == CSV { "n,text\n0,zero" } else { "{0}" });
        let path = file(&folder, name, pack(before, name));
        let (records, error) = read(&mut open(&[first.clone(), path.clone()], format).unwrap());
        assert_eq!(error, None);
        let position = records.last().unwrap().0.next;
        let mut writer = std::fs::OpenOptions::new().append(true).open(&path).unwrap();
        writer.write_all(&pack(added, name)).unwrap();
        let options = FileFeedOptions { follow: follow && name == "a", ..FileFeedOptions::new(format) };
        let mut feed = FileFeed::open(vec![first, path], options).unwrap();
        let (rest, error) = match feed.seek(position) {
            Ok(()) => read(&mut feed),
            Err(error) => (Vec::new(), Some(error)),
        };
        answers.push(match error {
            None => Ok(rest.into_iter().map(|(_, bytes)| String::from_utf8(bytes).unwrap()).collect()),
            Some(error) => Err(error.to_string()),
        });
    }
    let packed = answers.pop().unwrap();
    assert_eq!(packed.is_ok(), answers[0].is_ok(), "{packed:?}");
    answers.remove(0)
}

#[test]
fn a_last_line_that_grows_after_it_was_read_is_said_and_never_passed_over() {
    let lines = FileFormat::JsonLines;
    let good: [(&str, &str, FileFormat, &[&str]); 8] = [
        ("{a}\n{b}", "", lines, &[]),
        ("{a}\n{b}", "\n", lines, &[]),
        ("{a}\n{b}", "\n{c}\n", lines, &["{c}"]),
        ("{a}\n{b}\r", "\n{c}\n", lines, &["{c}"]),
        ("{a}\n{b}", "\r\n{c}\n", lines, &["{c}"]),
        ("{a}\n{b}\n  ", "{c}\n", lines, &["  {c}"]),
        ("n,text\n1,\"x\n,y\"", "\n2,z\n", CSV, &["2,z"]),
        ("n,text\n1,x\n", "2,\"y\n\"\n", CSV, &["2,\"y\n\""]),
    ];
    for (before, added, format, expected) in good {
        for follow in [false, true] {
            let rest = goes_on(before, added, format, follow);
            assert_eq!(
                rest,
                Ok(expected.iter().map(|&text| text.to_owned()).collect()),
                "{before:?} {added:?}"
            );
        }
    }
    for (before, added, format, words) in [
        ("{a}\n{\"volt", "age\":1}\n{c}\n", lines, ["line 2: its first 6 bytes", "(at byte 10 of the file)"]),
        ("n,text\n1,23", "0.4\n2,x\n", CSV, ["line 2: its first 4 bytes", "(at byte 11 of the file)"]),
        // The first line was all of it, while its quote was not closed.
        ("n,text\n1,\"x\n", "y\"\n2,z\n", CSV, ["line 2: its first 4 bytes", "follow = true"]),
    ] {
        for follow in [false, true] {
            let error = goes_on(before, added, format, follow).unwrap_err();
            assert!(words.iter().all(|word| error.contains(word)), "{before:?}, then {added:?}: {error}");
        }
    }
}

#[test]
fn a_growing_file_is_followed_line_by_line() {
    let folder = TempDir::new().unwrap();
    let path = file(&folder, "a.jsonl", "");
    let mut feed = follow(&path);
    assert_eq!(read(&mut feed), (vec![], None));
    let mut writer = std::fs::OpenOptions::new().append(true).open(&path).unwrap();
    writer.write_all(b"{a}\n{b").unwrap();
    assert_eq!(texts(&read(&mut feed).0), ["0-3 line 1: {a}"]);
    writer.write_all(b"}\n").unwrap();
    let mut chunk = Chunk::default();
    feed.poll(&mut chunk, Duration::from_secs(5)).unwrap();
    assert_eq!(chunk.bytes, b"{b}");
    chunk.clear();
    assert_eq!(feed.poll(&mut chunk, Duration::from_millis(1)), Ok(FeedStatus::Idle));
}

#[test]
fn a_followed_file_that_is_replaced_or_cut_is_an_error() {
    let folder = TempDir::new().unwrap();
    type Spoil = fn(&Path);
    let spoil: [(&str, Spoil); 4] = [
        ("replaced by another", |path| {
            std::fs::rename(path, path.with_extension("old")).unwrap();
            std::fs::write(path, "{c}\n").unwrap();
        }),
        ("cut to 0 bytes", |path| std::fs::write(path, "").unwrap()),
        ("written anew", |path| std::fs::write(path, "{c}\n{d}\n{e}\n").unwrap()),
        ("not there any more", |path| std::fs::remove_file(path).unwrap()),
    ];
    for (what, spoil) in spoil {
        let path = file(&folder, "a.jsonl", "{a}\n{b}\n");
        let mut feed = follow(&path);
        assert_eq!(read(&mut feed).0.len(), 2);
        spoil(&path);
        let error = read(&mut feed).1.expect("an error").to_string();
        assert!(error.contains(what), "{error}");
    }
}

proptest! {
    /// However the bytes come, the records are the same; nothing is lost between them.
    #[test]
    fn records_do_not_depend_on_how_bytes_are_read(
        text in "([a-z,\"\r\n]|\"x\n\"|,){0,120}",
        pieces in prop::collection::vec(1..40_usize, 1..20),
        maximum in 1..60_usize,
        csv in any::<bool>(),
    ) {
        let split = |pieces: &[usize]| {
            let mut splitter = Splitter::new(csv.then_some(b','), maximum);
            let (mut rest, mut cuts) = (text.as_bytes(), Vec::new());
            for piece in pieces.iter().cycle() {
                let (now, later) = rest.split_at((*piece).min(rest.len()));
                splitter.room()[..now.len()].copy_from_slice(now);
                splitter.filled(now.len());
                rest = later;
                while let Some(cut) = splitter.next(rest.is_empty()) {
                    let bytes = splitter.bytes(&cut).to_vec();
                    cuts.push((bytes, cut.length, cut.newlines, cut.truncated));
                }
                if rest.is_empty() {
                    return cuts;
                }
            }
            cuts
        };
        let cuts = split(&pieces);
        prop_assert_eq!(&cuts, &split(&[text.len().max(1)]));
        prop_assert_eq!(cuts.iter().map(|cut| cut.1).sum::<u64>(), text.len() as u64);
        prop_assert_eq!(cuts.iter().map(|cut| cut.2).sum::<u64>(), text.matches('\n').count() as u64);
        prop_assert!(cuts.iter().all(|cut| cut.0.len() <= maximum));
    }
}
