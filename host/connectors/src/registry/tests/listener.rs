//! A listener on a port of its own that says what a test wants it to say.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::{Value, json};

/// What came: `GET /schemas/ids/1`, its body, its `Authorization`.
#[derive(Debug, Clone, Default)]
pub struct Request {
    pub line: String,
    pub body: String,
    pub authorization: Option<String>,
}

pub enum Reply {
    Json(u16, Value),
    /// Whatever it is, HTTP or not.
    Raw(Vec<u8>),
    /// No word, and the line stays open until the other end gives up.
    Hang,
}

pub fn schema_not_found() -> Reply {
    Reply::Json(404, json!({"error_code": 40403, "message": "Schema not found"}))
}

pub fn json_schema(schema: &Value) -> Reply {
    Reply::Json(200, json!({"schemaType": "JSON", "schema": schema.to_string()}))
}

pub struct Listener {
    pub url: String,
    requests: Arc<Mutex<Vec<Request>>>,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Listener {
    pub fn new(answer: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Listener {
        Listener::on(0, answer)
    }

    pub fn on(port: u16, answer: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Listener {
        let socket = TcpListener::bind(("127.0.0.1", port)).unwrap();
        let url = format!("http://{}", socket.local_addr().unwrap());
        let (requests, ended) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let (answer, seen, end) = (Arc::new(answer), Arc::clone(&requests), Arc::clone(&ended));
        let thread = std::thread::spawn(move || {
            for stream in socket.incoming() {
                if end.load(Ordering::SeqCst) {
                    return;
                }
                let (answer, seen) = (Arc::clone(&answer), Arc::clone(&seen));
                std::thread::spawn(move || {
                    let mut stream = stream.unwrap();
                    let request = read(&mut stream);
                    seen.lock().unwrap().push(request.clone());
                    write(&mut stream, answer(&request));
                });
            }
        });
        Listener { url, requests, ended, thread: Some(thread) }
    }

    pub fn port(&self) -> u16 {
        self.url.rsplit_once(':').unwrap().1.parse().unwrap()
    }

    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    pub fn lines(&self) -> Vec<String> {
        self.requests().into_iter().map(|request| request.line).collect()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        drop(TcpStream::connect(("127.0.0.1", self.port())));
        self.thread.take().unwrap().join().unwrap();
    }
}

fn read(stream: &mut TcpStream) -> Request {
    let mut reader = BufReader::new(stream);
    let mut request = Request::default();
    let (mut line, mut length) = (String::new(), 0);
    while reader.read_line(&mut line).is_ok_and(|read| read > 2) {
        if request.line.is_empty() {
            request.line = line.trim_end().trim_end_matches(" HTTP/1.1").to_owned();
        } else if let Some((name, value)) = line.trim_end().split_once(": ") {
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.parse().unwrap(),
                "authorization" => request.authorization = Some(value.to_owned()),
                _ => {}
            }
        }
        line.clear();
    }
    let mut body = vec![0; length];
    if reader.read_exact(&mut body).is_ok() {
        request.body = String::from_utf8(body).unwrap();
    }
    request
}

/// The other end may have gone: then there is nobody to tell.
fn write(stream: &mut TcpStream, reply: Reply) {
    match reply {
        Reply::Json(status, body) => {
            let body = body.to_string();
            let head =
                format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
            let _ = stream.write_all((head + &body).as_bytes());
        }
        Reply::Raw(bytes) => {
            let _ = stream.write_all(&bytes);
        }
        Reply::Hang => {
            stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
            let _ = stream.read(&mut [0]);
        }
    }
}
