//! Patterns for branches, tags and paths: `*`, `**`, `?`, `+`, `[…]` and `!`.

/// Whether a name matches a list of patterns. A later pattern with `!` takes away what earlier ones matched.
#[must_use]
pub fn matches(patterns: &[String], name: &str) -> bool {
    let mut matched = false;
    for pattern in patterns {
        match pattern.strip_prefix('!') {
            Some(pattern) if fits(pattern, name) => matched = false,
            None if fits(pattern, name) => matched = true,
            _ => {}
        }
    }
    matched
}

/// Returns why no name can match a pattern, as far as that is a common mistake. `is_path` tells a path from a branch or
/// a tag.
pub(super) fn matches_nothing(pattern: &str, is_path: bool) -> Option<String> {
    if !is_path {
        let of_reference = ["refs/heads/", "refs/tags/"].iter().find(|start| pattern.starts_with(**start));
        return of_reference.map(|start| format!("a name has no `{start}` here"));
    }
    if let Some(rest) = ["./", "/"].iter().find_map(|start| pattern.strip_prefix(start)) {
        return Some(format!("a path begins at the top of the repository: `{rest}` is expected"));
    }
    let is_folder = pattern.ends_with('/');
    is_folder.then(|| format!("a changed file is no folder: `{pattern}**` matches the files below it"))
}

fn fits(pattern: &str, name: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let name: Vec<char> = name.chars().collect();
    rest_fits(&pattern, &name)
}

/// Whether a single character fits the element at the start of a pattern. Also returns the element's length.
fn element(pattern: &[char], c: Option<char>) -> (bool, usize) {
    match pattern {
        ['\\', escaped, ..] => (c == Some(*escaped), 2),
        ['[', rest @ ..] => match rest.iter().position(|c| *c == ']') {
            Some(end) => (c.is_some_and(|c| in_set(&rest[..end], c)), end + 2),
            None => (c == Some('['), 1),
        },
        [literal, ..] => (c == Some(*literal), 1),
        [] => (false, 0),
    }
}

fn in_set(set: &[char], c: char) -> bool {
    let mut rest = set;
    loop {
        rest = match rest {
            [from, '-', to, rest @ ..] => {
                if (*from..=*to).contains(&c) {
                    return true;
                }
                rest
            }
            [one, rest @ ..] => {
                if *one == c {
                    return true;
                }
                rest
            }
            [] => return false,
        };
    }
}

fn rest_fits(pattern: &[char], name: &[char]) -> bool {
    match pattern {
        [] => name.is_empty(),
        ['*', '*', '/', rest @ ..] if rest_fits(rest, name) => true,
        ['*', '*', rest @ ..] => (0..=name.len()).any(|taken| rest_fits(rest, &name[taken..])),
        ['*', rest @ ..] => {
            let end = name.iter().position(|c| *c == '/').unwrap_or(name.len());
            (0..=end).any(|taken| rest_fits(rest, &name[taken..]))
        }
        _ => {
            let (fits_one, length) = element(pattern, name.first().copied());
            match &pattern[length..] {
                // The element before is optional.
                ['?', rest @ ..] => rest_fits(rest, name) || (fits_one && rest_fits(rest, &name[1..])),
                // The element before is there once or more.
                ['+', rest @ ..] => {
                    let run = name.iter().take_while(|c| element(pattern, Some(**c)).0).count();
                    (1..=run).any(|taken| rest_fits(rest, &name[taken..]))
                }
                rest => fits_one && rest_fits(rest, &name[1..]),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_fit_names_as_github_documents_it() {
        for (pattern, name, expected) in [
            ("main", "main", true),
            ("main", "mainly", false),
            ("*", "main", true),
            ("*", "a/b", false),
            ("**", "a/b", true),
            ("releases/**", "releases/beta/3-alpha", true),
            ("feature/*", "feature/x/y", false),
            ("**-v2", "feature/my-v2", true),
            ("v[12].[0-9]+.[0-9]+", "v1.10.1", true),
            ("v[12].[0-9]+.[0-9]+", "v3.1.1", false),
            ("**/docs", "docs", true),
            ("ma?in", "min", true),
            ("ma?in", "main", true),
        ] {
            assert_eq!(matches(&[pattern.to_owned()], name), expected, "{pattern} {name}");
        }
        let patterns = ["releases/**".to_owned(), "!releases/**-alpha".to_owned()];
        assert!(matches(&patterns, "releases/10") && !matches(&patterns, "releases/10-alpha"));
    }

    #[test]
    fn patterns_fit_paths_as_github_documents_it() {
        for (pattern, path, expected) in [
            ("*", "README.md", true),
            ("*", "docs/hello.md", false),
            ("*.jsx?", "page.js", true),
            ("*.jsx?", "page.jsx", true),
            ("**.js", "src/js/app.js", true),
            ("*.js", "src/app.js", false),
            ("docs/*", "docs/file.md", true),
            ("docs/*", "docs/a/file.md", false),
            ("docs/**", "docs/mona/octocat.txt", true),
            ("docs/**/*.md", "docs/README.md", true),
            ("docs/**/*.md", "docs/a/markdown/file.md", true),
            ("**/docs/**", "docs/hello.md", true),
            ("**/docs/**", "dir/docs/my-file.txt", true),
            ("**/README.md", "js/README.md", true),
            ("**/*src/**", "a/src/app.js", true),
            ("**/*src/**", "my-src/code/js/app.js", true),
            ("**/*-post.md", "path/their-post.md", true),
            ("**/migrate-*.sql", "db/sept/migrate-v1.sql", true),
            ("docs", "docs/hello.md", false),
            ("Docs/**", "docs/hello.md", false),
        ] {
            assert_eq!(matches(&[pattern.to_owned()], path), expected, "{pattern} {path}");
        }
        let all = |patterns: &[&str], path: &str| {
            matches(&patterns.iter().map(|&it| it.to_owned()).collect::<Vec<_>>(), path)
        };
        let order = ["**.md", "!README.md", "README*"];
        assert!(all(&order, "hello.md") && all(&order, "README.md") && all(&order, "README.doc"));
        assert!(!all(&order[..2], "README.md"));
    }
}
