//! The page that a browser shows when a login at another issuer did not work. It has no script, and every text in it is escaped.
//!
//! Knows no problem and no issuer: it is handed the words.

/// What the page says.
#[derive(Debug)]
pub(super) struct RefusalPage<'a> {
    /// What was wrong.
    pub(super) detail: &'a str,
    /// What the user can do.
    pub(super) advice: &'a str,
    /// The login once more, if the issuer is one of this server.
    pub(super) again: Option<&'a str>,
    /// The line of the log has it, too.
    pub(super) request_id: &'a str,
}

impl RefusalPage<'_> {
    pub(super) fn html(&self) -> String {
        let RefusalPage { detail, advice, again, request_id } = self;
        let (detail, advice, request_id) = (escaped(&sentence(detail)), escaped(advice), escaped(request_id));
        let again = again.map_or_else(String::new, |again| {
            format!("<a class=\"button\" href=\"{}\">Try again</a> ", escaped(again))
        });
        format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n<title>The login did not work · Tidewire</title>\n\
             <link rel=\"icon\" href=\"/static/pages/icon.svg\" type=\"image/svg+xml\">\n\
             <link rel=\"stylesheet\" href=\"/static/pages/pages.css\">\n</head>\n<body>\n\
             <header class=\"bar\"><nav aria-label=\"Where you are\"><a class=\"brand\" href=\"/_/\">Tidewire</a></nav></header>\n\
             <main class=\"user\">\n<h1>The login did not work</h1>\n<p role=\"alert\" class=\"error\">{detail}.</p>\n<p>{advice}</p>\n\
             <p class=\"actions\">{again}<a class=\"button\" href=\"/_/login\">Other ways to log in</a></p>\n\
             <p class=\"muted\">For your administrator: request {request_id}</p>\n</main>\n</body>\n</html>\n"
        )
    }
}

/// Texts of problems begin small, as they stand in JSON.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().into_iter().flat_map(char::to_uppercase).chain(letters).collect()
}

fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe += "&amp;",
            '<' => safe += "&lt;",
            '>' => safe += "&gt;",
            '"' => safe += "&quot;",
            '\'' => safe += "&#39;",
            other => safe.push(other),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_is_a_sentence() {
        for (detail, shown) in [("the issuer refused", "The issuer refused."), ("äh", "Äh."), ("", ".")] {
            let page = RefusalPage { detail, advice: "x", again: None, request_id: "y" }.html();
            assert!(page.contains(&format!("class=\"error\">{shown}</p>")), "{page}");
        }
    }

    #[test]
    fn no_text_becomes_markup() {
        let evil = "\"><script>alert('1')</script>&";
        let page = RefusalPage { detail: evil, advice: evil, again: Some(evil), request_id: evil }.html();
        assert!(!page.contains("<script") && !page.contains("alert('") && !page.contains("\"><s"), "{page}");
        assert_eq!(page.matches("&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;&amp;").count(), 4);
    }
}
