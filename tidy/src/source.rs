//! Rust source, as far as the rules need to understand it: comments and literals told from code.
//!
//! Not a parser. It knows the lexical rules that decide where a comment or a literal ends, and
//! nothing more, so that it stays right when the language grows.

/// The text with the content of comments, strings and characters replaced by spaces; the lines stay
/// where they are.
pub fn code_only(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    let mut previous = ' ';
    while let Some(first) = rest.chars().next() {
        let (blank_len, kept) = literal_or_comment(rest, previous);
        if blank_len == 0 {
            code.push(first);
            previous = first;
            rest = rest.get(first.len_utf8()..).unwrap_or("");
            continue;
        }
        let blank = rest.get(..blank_len).unwrap_or(rest);
        code.extend(blank.chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
        previous = kept;
        rest = rest.get(blank_len..).unwrap_or("");
    }
    code
}

/// Code up to the module of tests that ends a file.
pub fn without_tests(code: &str) -> &str {
    let mut search_start = 0;
    while let Some(found) = code.get(search_start..).and_then(|tail| tail.find("#[cfg(")) {
        let start = search_start + found;
        let tail = code.get(start..).unwrap_or("");
        let mut lines = tail.lines();
        let is_for_tests = lines.next().is_some_and(|line| words(line).any(|word| word == "test"));
        let item = lines.find(|line| !line.trim_start().starts_with("#[")).unwrap_or("");
        if is_for_tests && item.trim_start().starts_with("mod ") && item.trim_end().ends_with('{') {
            return code.get(..start).unwrap_or(code);
        }
        search_start = start + 1;
    }
    code
}

/// The identifiers and keywords of `code`.
pub fn words(code: &str) -> impl Iterator<Item = &str> {
    code.split(|c: char| !is_word(c)).filter(|word| !word.is_empty())
}

/// The module documentation at the top of a file, as one line of text.
pub fn module_doc(text: &str) -> String {
    let doc = text.lines().take_while(|line| line.starts_with("//!"));
    let doc: Vec<&str> = doc.map(|line| line.trim_start_matches("//!").trim()).collect();
    doc.join(" ")
}

/// A function and how many lines it takes, from its signature to its closing brace.
#[derive(Clone, Debug)]
pub struct Function {
    /// As it is spelled after `fn`.
    pub name: String,
    /// 1-based line of the signature.
    pub line: usize,
    /// Lines, the first and the last included.
    pub line_count: usize,
}

/// The functions in code that `code_only` returned.
pub fn functions(code: &str) -> Vec<Function> {
    let mut found = Vec::new();
    for (start, _) in code.match_indices("fn ") {
        let before = code.get(..start).and_then(|head| head.chars().next_back());
        let tail = code.get(start + 3..).unwrap_or("");
        let name: String = tail.chars().take_while(|c| is_word(*c)).collect();
        if before.is_some_and(is_word) || name.is_empty() {
            continue;
        }
        let Some(len) = body_end(tail) else { continue };
        let body = tail.get(..len).unwrap_or(tail);
        let line = 1 + code.get(..start).map_or(0, |head| head.matches('\n').count());
        found.push(Function { name, line, line_count: 1 + body.matches('\n').count() });
    }
    found
}

/// Length up to the brace that closes a function's body; `None` for a declaration without one.
fn body_end(tail: &str) -> Option<usize> {
    let mut depth = 0_usize;
    let mut brackets = 0_usize;
    for (offset, c) in tail.char_indices() {
        match c {
            '(' | '[' => brackets += 1,
            ')' | ']' => brackets = brackets.saturating_sub(1),
            ';' if depth == 0 && brackets == 0 => return None,
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if c == '}' && depth == 0 {
            return Some(offset + 1);
        }
    }
    None
}

/// Length of the literal or comment that `rest` starts with (0: neither), and what stands for it as
/// previous character.
fn literal_or_comment(rest: &str, previous: char) -> (usize, char) {
    if rest.starts_with("//") {
        return (rest.find('\n').unwrap_or(rest.len()), ' ');
    }
    if rest.starts_with("/*") {
        return (block_comment_len(rest), ' ');
    }
    if rest.starts_with('"') {
        return (quoted_len(rest, '"'), '"');
    }
    let starts_word = !is_word(previous);
    if starts_word && let Some(len) = raw_string_len(rest) {
        return (len, '"');
    }
    if rest.starts_with('\'') && is_character(rest) {
        return (quoted_len(rest, '\''), '\'');
    }
    (0, ' ')
}

fn block_comment_len(rest: &str) -> usize {
    let mut depth = 0_usize;
    let mut offset = 0;
    while let Some(tail) = rest.get(offset..).filter(|tail| !tail.is_empty()) {
        if tail.starts_with("/*") {
            depth += 1;
            offset += 2;
        } else if tail.starts_with("*/") {
            depth -= 1;
            offset += 2;
            if depth == 0 {
                return offset;
            }
        } else {
            offset += tail.chars().next().map_or(1, char::len_utf8);
        }
    }
    rest.len()
}

fn quoted_len(rest: &str, quote: char) -> usize {
    let mut is_escaped = false;
    for (offset, c) in rest.char_indices().skip(1) {
        if is_escaped {
            is_escaped = false;
        } else if c == '\\' {
            is_escaped = true;
        } else if c == quote {
            return offset + 1;
        }
    }
    rest.len()
}

/// `r"…"`, `r#"…"#`, and with `b` or `c` before.
fn raw_string_len(rest: &str) -> Option<usize> {
    let prefix = ["r", "br", "cr"].into_iter().find(|prefix| {
        let tail = rest.strip_prefix(prefix).unwrap_or("");
        tail.trim_start_matches('#').starts_with('"')
    })?;
    let tail = rest.get(prefix.len()..)?;
    let hash_count = tail.len() - tail.trim_start_matches('#').len();
    let open_len = prefix.len() + hash_count + 1;
    let close = format!("\"{}", "#".repeat(hash_count));
    let close_offset = rest.get(open_len..)?.find(&close)?;
    Some(open_len + close_offset + close.len())
}

/// Tells `'a'` and `'\n'` from the lifetime `'a`.
fn is_character(rest: &str) -> bool {
    let mut chars = rest.chars().skip(1);
    match (chars.next(), chars.next()) {
        (Some('\\'), _) => true,
        (Some(c), Some('\'')) => c != '\'',
        _ => false,
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_comments_and_literals() {
        let text = "a // unsafe\nb \"unsafe // \\\" x\" c /* d /* e */ unsafe */ f\n";
        assert_eq!(words(&code_only(text)).collect::<Vec<_>>(), ["a", "b", "c", "f"]);
        let text = "r#\"unsafe \" \"# 'x' '\\'' b\"unsafe\" &'a str, br\"unsafe\" car\"unsafe\"";
        let code = code_only(text);
        assert_eq!(words(&code).collect::<Vec<_>>(), ["b", "a", "str", "car"]);
    }

    #[test]
    fn keeps_lines() {
        let text = "/* 1\n2 */ x\n\"3\n4\" y";
        let code = code_only(text);
        assert_eq!(code.lines().count(), text.lines().count());
        assert_eq!(code.lines().map(str::trim).collect::<Vec<_>>(), ["", "x", "", "y"]);
    }

    #[test]
    fn cuts_the_module_of_tests() {
        let code = "fn a() {}\n#[cfg(test)]\nmod tests {\n    fn b() {}\n}\n";
        assert_eq!(without_tests(code), "fn a() {}\n");
        let code = "#[cfg(test)]\nmod tests;\nfn a() {}\n";
        assert_eq!(without_tests(code), code);
    }

    #[test]
    fn measures_functions() {
        let code =
            "trait T { fn no_body(&self); }\nfn one() {}\nfn three(a: [u8; 3]) {\n    {}\n}\n";
        let found = functions(code);
        let found: Vec<_> = found.iter().map(|f| (f.name.as_str(), f.line, f.line_count)).collect();
        assert_eq!(found, [("one", 2, 1), ("three", 3, 3)]);
    }

    #[test]
    fn joins_the_module_doc() {
        assert_eq!(module_doc("//! One\n//! two.\n\nuse x;\n//! no\n"), "One two.");
    }
}
