//! `[checkpoints]`: where a lane's state is kept, so that every process of the group reaches it.

use std::path::PathBuf;
use std::time::Duration;

use gridwatch_connectors::stores::S3Settings;

use super::secret;
use super::section::Section;

#[derive(Debug, Clone, PartialEq)]
pub struct Checkpoints {
    pub place: Place,
    /// Real time between two checkpoints of a lane.
    pub interval: Duration,
    /// Records of a lane between two of its checkpoints, at most.
    pub records_max: u64,
    /// How far back (event time) one checkpoint an hour is kept, to explain and to plot from.
    pub history_window: Duration,
    pub on_missing: OnMissing,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Place {
    Directory(PathBuf),
    S3(S3),
}

impl Place {
    /// A folder in it.
    pub fn below(&self, folder: &str) -> Place {
        match self {
            Place::Directory(directory) => Place::Directory(directory.join(folder)),
            Place::S3(s3) => {
                let url = format!("{}/{folder}", s3.url.trim_end_matches('/'));
                Place::S3(S3 { url, ..s3.clone() })
            }
        }
    }
}

/// A bucket, and how to get at it. Keys that are not given come from the environment, as AWS names them.
#[derive(Debug, Clone, PartialEq)]
pub struct S3 {
    /// `s3://BUCKET/PREFIX`.
    pub url: String,
    pub endpoint: Option<String>,
    pub region: Option<String>,
    pub access_key_file: Option<PathBuf>,
    pub secret_key_file: Option<PathBuf>,
}

/// Of a key.
const SECRET_BYTES_MAX: u64 = 16 << 10;

impl S3 {
    /// What connects, with the keys read from their files.
    pub fn settings(&self) -> Result<S3Settings, String> {
        let key = |file: &Option<PathBuf>| {
            file.as_ref().map(|file| secret::in_file(file, SECRET_BYTES_MAX)).transpose()
        };
        Ok(S3Settings {
            url: self.url.clone(),
            endpoint: self.endpoint.clone(),
            region: self.region.clone(),
            access_key: key(&self.access_key_file)?,
            secret_key: key(&self.secret_key_file)?,
        })
    }
}

/// What happens when a checkpoint that a commit names is missing or damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnMissing {
    Halt,
    Cold,
}

const DAY: Duration = Duration::from_secs(86_400);

pub fn read(mut section: Section<'_, '_>) -> Checkpoints {
    let place = read_place(&mut section);
    let interval = section.duration("interval", Duration::from_millis(100)..=DAY);
    let records_max = section.integer("records_max", 1_000..=1_000_000_000);
    let history_window = section.duration("history_window", Duration::ZERO..=DAY * 30);
    let on_missing = section.choice("on_missing", &[("halt", OnMissing::Halt), ("cold", OnMissing::Cold)]);
    let checkpoints = Checkpoints {
        place,
        interval: interval.unwrap_or(Duration::from_secs(60)),
        records_max: records_max.unwrap_or(2_000_000),
        history_window: history_window.unwrap_or(DAY),
        on_missing: on_missing.map_or(OnMissing::Halt, |at| at.value),
    };
    section.close();
    checkpoints
}

fn read_place(section: &mut Section<'_, '_>) -> Place {
    let (dir, url) = (section.string("dir"), section.string("url"));
    let mut file = |key: &'static str| section.file(key).map(|at| at.value);
    let (access_key_file, secret_key_file) = (file("access_key_file"), file("secret_key_file"));
    let mut text = |key: &'static str| section.string(key).map(|at| at.value);
    let (endpoint, region) = (text("endpoint"), text("region"));
    let document = section.document();
    match (dir, url) {
        (Some(_), Some(url)) => {
            document.mistake(url.offset, "url: dir is given, too; keep one of them");
            Place::Directory(PathBuf::new())
        }
        (None, Some(url)) => {
            if url.value.strip_prefix("s3://").is_none_or(|rest| rest.len() <= 2) {
                document.mistake(
                    url.offset,
                    format!("url: \"{}\" is none; write \"s3://bucket/prefix\"", url.value),
                );
            }
            Place::S3(S3 { url: url.value, endpoint, region, access_key_file, secret_key_file })
        }
        (dir, None) => {
            for key in ["endpoint", "region", "access_key_file", "secret_key_file"] {
                if let Some(offset) = section.written(key) {
                    document
                        .mistake(offset, format!("{key}: belongs to url = \"s3://…\", which is not given"));
                }
            }
            let path = document.resolve(dir.as_ref().map_or(".gridwatch", |dir| &dir.value));
            let nearest = path.ancestors().find(|folder| folder.exists());
            if let (Some(dir), Some(file)) = (dir, nearest.filter(|nearest| !nearest.is_dir())) {
                let file = if file == path { dir.value } else { file.display().to_string() };
                document.mistake(dir.offset, format!("dir: {file} is a file, not a directory"));
            }
            Place::Directory(path)
        }
    }
}
