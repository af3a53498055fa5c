//! Conventions of the source tree that a compiler does not check.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Modules of the core crate in the order in which data flows. Kernels belong to the losses.
const ORDER: &[&[&str]] = &[
    &["batch"],
    &["targets"],
    &["graph"],
    &["losses", "kernels"],
    &["schedules"],
    &["metrics"],
    &["calibrators"],
    &["report"],
];

/// Modules that any other may use.
const ANYWHERE: &[&str] = &["error", "parameters", "registry", "random", "statistics", "theory"];

/// Uses against the order: file, module, reason. A needless entry fails.
const UPHILL: &[(&str, &str, &str)] = &[
    ("batch/scalar.rs", "losses", "the sealed trait dispatches a loss to its precision"),
    ("batch/scalar.rs", "targets", "the sealed trait wraps target rows of its type"),
    (
        "targets/form.rs",
        "kernels",
        "every dense mass is checked, by vectors, and their code stands in kernels",
    ),
];

/// What each crate may depend on within the workspace.
const DEPENDENCIES: &[(&str, &[&str])] = &[
    ("candor", &[]),
    ("candor-burn", &["candor"]),
    ("candor-recipes", &["candor", "candor-burn"]),
    ("candor-datafusion", &["candor"]),
    ("candor-cli", &["candor", "candor-burn", "candor-recipes", "candor-datafusion"]),
    ("candor-python", &["candor"]),
];

/// Folders of `crates` that may name types of Burn.
const BURN: &[&str] = &["burn", "recipes"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// All files below a folder with this extension, in order; build outputs and hidden folders left out.
fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let entries = fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    for entry in entries {
        let path = entry.expect("an entry").path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        if path.is_symlink() || name.starts_with('.') || name == "target" || name == "node_modules" {
            continue;
        }
        if path.is_dir() {
            found.extend(files(&path, extension));
        } else if path.extension().is_some_and(|found| found == extension) {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Folders of `crates`.
fn crates() -> Vec<PathBuf> {
    let entries = fs::read_dir(root().join("crates")).expect("the crates");
    let mut found: Vec<PathBuf> = entries.map(|entry| entry.expect("a crate").path()).collect();
    found.retain(|path| path.join("Cargo.toml").is_file());
    found.sort();
    found
}

/// All source files of all crates.
fn sources() -> Vec<PathBuf> {
    let found: Vec<PathBuf> = crates().iter().flat_map(|path| files(&path.join("src"), "rs")).collect();
    assert!(found.len() > 20, "the walk finds only {} files", found.len());
    found
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// A line without its comment and without what stands in quotes.
fn code(line: &str) -> String {
    let mut kept = String::new();
    let (mut quoted, mut escaped, mut previous) = (false, false, ' ');
    for character in line.chars() {
        if quoted {
            quoted = escaped || character != '"';
            escaped = character == '\\' && !escaped;
            continue;
        }
        if character == '/' && previous == '/' {
            kept.pop();
            break;
        }
        quoted = character == '"' && previous != '\'';
        previous = character;
        kept.push(character);
    }
    kept
}

/// Positions right after each occurrence of `word`, where it is no part of a longer identifier.
fn after<'a>(text: &'a str, word: &'a str) -> impl Iterator<Item = &'a str> {
    let inside = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(word).filter_map(move |(at, _)| {
        let rest = &text[at + word.len()..];
        let before = text[..at].ends_with(inside);
        let behind = word.ends_with(inside) && rest.starts_with(inside);
        (!before && !behind).then_some(rest)
    })
}

/// The first names of the paths in a line of code: `burn` of `burn::Tensor`.
fn path_heads(line: &str) -> impl Iterator<Item = &str> {
    line.match_indices("::").filter_map(|(at, _)| {
        let start = line[..at].rfind(|c: char| !(c.is_alphanumeric() || c == '_')).map_or(0, |i| i + 1);
        let head = &line[start..at];
        (!head.is_empty() && !line[..start].ends_with("::")).then_some(head)
    })
}

fn identifier(text: &str) -> &str {
    text.split(|c: char| !(c.is_alphanumeric() || c == '_')).next().unwrap_or_default()
}

#[test]
fn every_source_file_opens_with_what_it_holds() {
    for path in sources() {
        let text = read(&path);
        let first = text.lines().next().unwrap_or_default();
        assert!(first.starts_with("//! ") && first.len() > 15, "{} opens with {first:?}", path.display());
    }
}

#[test]
fn unsafe_code_stands_only_in_the_kernels_and_says_why_it_is_sound() {
    let kernels = root().join("crates/core/src/kernels");
    let mut blocks = 0;
    for path in sources() {
        let text = read(&path);
        let lines: Vec<&str> = text.lines().collect();
        for (at, line) in lines.iter().enumerate() {
            if after(&code(line), "unsafe").next().is_none() {
                continue;
            }
            let place = format!("{}:{}", path.display(), at + 1);
            assert!(path.starts_with(&kernels), "{place}: unsafe code outside of the kernels");
            // Comments and attributes directly above.
            let reasoned = lines[..at]
                .iter()
                .rev()
                .map(|line| line.trim())
                .take_while(|line| line.starts_with("//") || line.starts_with("#["))
                .any(|line| line.starts_with("// SAFETY") || line == "/// # Safety");
            assert!(reasoned, "{place}: no `// SAFETY:` or `# Safety` above");
            blocks += 1;
        }
    }
    assert!(blocks > 0, "the walk finds no unsafe code at all");
}

/// The names that the descriptions of a family declare, as the sources of a folder spell them.
fn declared(folder: &str, kind: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for path in files(&root().join("crates/core/src").join(folder), "rs") {
        // Examples in comments describe methods too.
        let text = read(&path);
        let text: String =
            text.split_inclusive('\n').filter(|line| !line.trim_start().starts_with("//")).collect();
        for rest in after(&text, &format!("{kind} = {kind} {{")) {
            let name = rest.split("name: \"").nth(1).and_then(|rest| rest.split('"').next());
            names.insert(name.unwrap_or_else(|| panic!("{}: no name", path.display())).to_owned());
        }
    }
    names
}

#[test]
fn every_file_that_describes_a_method_is_in_its_registry() {
    let losses: Vec<&str> = candor::losses::ALL.iter().map(|entry| entry.info.name).collect();
    let targets: Vec<&str> = candor::targets::ALL.iter().map(|entry| entry.info.name).collect();
    let schedules: Vec<&str> = candor::schedules::ALL.iter().map(|entry| entry.info.name).collect();
    let metrics: Vec<&str> = candor::metrics::ALL.iter().map(|metric| metric.name).collect();
    let calibrators: Vec<&str> = candor::calibrators::ALL.iter().map(|entry| entry.info.name).collect();
    for (folder, kind, registered) in [
        ("metrics", "MetricInfo", metrics),
        ("losses", "LossInfo", losses),
        ("targets", "TargetInfo", targets),
        ("schedules", "ScheduleInfo", schedules),
        ("calibrators", "CalibratorInfo", calibrators),
    ] {
        let once: BTreeSet<String> = registered.iter().map(|&name| name.to_owned()).collect();
        assert_eq!(once.len(), registered.len(), "{folder}: a name stands twice in ALL");
        assert_eq!(declared(folder, kind), once, "{folder}: described on the left, registered on the right");
    }
}

/// The top-level modules that a file names by `crate::`, re-exports included.
fn used_modules(text: &str, reexports: &[(String, String)]) -> BTreeSet<String> {
    let text: String = text.lines().map(|line| code(line) + "\n").collect();
    let mut used = BTreeSet::new();
    for rest in after(&text, "crate::") {
        // `crate::{a::B, c::D}` names several; commas of inner braces do not count.
        let group = rest.strip_prefix('{').unwrap_or_default();
        let (mut depth, mut start, mut names) = (0, 0, Vec::new());
        for (at, character) in group.char_indices() {
            match character {
                '{' => depth += 1,
                ',' | '}' if depth == 0 => {
                    names.push(identifier(group[start..at].trim()));
                    start = at + 1;
                    if character == '}' {
                        break;
                    }
                }
                '}' => depth -= 1,
                _ => {}
            }
        }
        if group.is_empty() {
            names.push(identifier(rest));
        }
        for name in names.into_iter().filter(|name| !name.is_empty()) {
            let module = reexports.iter().find(|(item, _)| item == name).map(|(_, module)| module.as_str());
            used.insert(module.unwrap_or(name).to_owned());
        }
    }
    used
}

/// The items that `lib.rs` re-exports, each with its module.
fn reexports(lib: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for statement in after(lib, "pub use ") {
        let statement = statement.split(';').next().unwrap_or_default();
        let module = identifier(statement);
        for item in statement[module.len()..].split(|c: char| !(c.is_alphanumeric() || c == '_')) {
            found.push((item.to_owned(), module.to_owned()));
        }
    }
    found
}

#[test]
fn modules_of_the_core_use_only_what_comes_before_them() {
    let source = root().join("crates/core/src");
    let rank = |module: &str| ORDER.iter().position(|modules| modules.contains(&module));
    let reexports = reexports(&read(&source.join("lib.rs")));
    assert!(reexports.contains(&("Targets".to_owned(), "targets".to_owned())), "{reexports:?}");
    let mut uphill = BTreeSet::new();
    for path in files(&source, "rs") {
        let file = path.strip_prefix(&source).expect("below the source").to_string_lossy().into_owned();
        let module = file.split(['/', '.']).next().unwrap_or_default();
        if file == "lib.rs" || ANYWHERE.contains(&module) {
            continue;
        }
        let own =
            rank(module).unwrap_or_else(|| panic!("{file}: give {module} a place in ORDER or ANYWHERE"));
        for used in used_modules(&read(&path), &reexports) {
            if ANYWHERE.contains(&used.as_str()) {
                continue;
            }
            let rank = rank(&used).unwrap_or_else(|| panic!("{file}: crate::{used} has no place in ORDER"));
            if rank > own {
                uphill.insert((file.clone(), used));
            }
        }
    }
    let excused: BTreeSet<(String, String)> =
        UPHILL.iter().map(|(file, used, _)| ((*file).to_owned(), (*used).to_owned())).collect();
    let unexcused: Vec<_> = uphill.difference(&excused).collect();
    assert!(unexcused.is_empty(), "against the order {ORDER:?}: {unexcused:?}");
    let needless: Vec<_> = excused.difference(&uphill).collect();
    assert!(needless.is_empty(), "needless exceptions: {needless:?}");
}

#[test]
fn the_reader_of_uses_sees_groups_and_re_exports() {
    let reexports = reexports("pub use batch::{Buffers, Labels};\npub use error::Error;\n");
    let text = "use crate::{Labels, kernels::{a, b}, losses::Loss};\n\
                let x = crate::metrics::ece(); // crate::report\nlet y: crate::Error;\n";
    let used: Vec<String> = used_modules(text, &reexports).into_iter().collect();
    assert_eq!(used, ["batch", "error", "kernels", "losses", "metrics"]);
    assert_eq!(code("let a = \"// \\\" unsafe\"; // unsafe"), "let a = \"; ");
    assert_eq!(path_heads("a(burn::x::y, candor_burn::z)").collect::<Vec<_>>(), ["burn", "candor_burn"]);
    assert_eq!(after("unsafe_code notunsafe unsafe {", "unsafe").collect::<Vec<_>>(), [" {"]);
}

/// The keys of all dependency tables of a manifest, and the packages that they rename.
fn dependencies(manifest: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut inside = false;
    for line in manifest.lines().map(|line| line.split('#').next().unwrap_or_default().trim()) {
        if let Some(table) = line.strip_prefix('[') {
            inside = table.contains("dependencies");
            // `[dependencies.name]` is a table of its own.
            if let Some((_, name)) = table.trim_end_matches(']').split_once("dependencies.") {
                found.insert(name.to_owned());
            }
        } else if inside && line.contains('=') {
            let key = line.split(['.', '=', ' ']).next().unwrap_or_default();
            found.insert(key.trim_matches('"').to_owned());
            if let Some((_, rest)) = line.split_once("package") {
                found.extend(rest.split('"').nth(1).map(str::to_owned));
            }
        }
    }
    found
}

#[test]
fn crates_depend_one_way() {
    for path in crates() {
        let manifest = read(&path.join("Cargo.toml"));
        let name = manifest.split("name = \"").nth(1).and_then(|rest| rest.split('"').next());
        let name = name.unwrap_or_else(|| panic!("{}: no name", path.display()));
        let allowed = DEPENDENCIES.iter().find(|(crate_name, _)| *crate_name == name);
        let (_, allowed) = allowed.unwrap_or_else(|| panic!("give {name} a place in DEPENDENCIES"));
        let folder = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        for dependency in dependencies(&manifest) {
            if dependency.starts_with("candor") {
                assert!(allowed.contains(&dependency.as_str()), "{name} must not depend on {dependency}");
            }
            let burn = dependency == "burn" || dependency.starts_with("burn-");
            assert!(!burn || BURN.contains(&folder), "{name} must not depend on {dependency}");
        }
    }
}

#[test]
fn only_the_crates_that_train_name_types_of_burn() {
    let mut seen = false;
    for path in crates() {
        let folder = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        for file in files(&path, "rs") {
            for line in read(&file).lines() {
                let line = code(line);
                for head in path_heads(&line) {
                    let burn = head == "burn" || head.starts_with("burn_");
                    assert!(!burn || BURN.contains(&folder.as_str()), "{}: {line}", file.display());
                    seen |= head == "candor";
                }
            }
        }
    }
    assert!(seen, "the walk finds no path at all");
}

#[test]
fn nothing_is_left_undone_and_no_test_is_switched_off() {
    // Written apart, so that this file does not find itself.
    let words = [concat!("todo", "!"), concat!("unimplemented", "!"), concat!("#[ign", "ore")];
    let walked = files(&root(), "rs");
    assert!(walked.iter().any(|path| path.ends_with("tests/tidy.rs")), "the walk misses the tests");
    for path in walked {
        for (at, line) in read(&path).lines().enumerate() {
            for word in words {
                assert!(!line.contains(word), "{}:{}: {word}", path.display(), at + 1);
            }
        }
    }
}
