//! A log session that is being read.

use super::Lost;

/// Reads lines as they come.
pub struct Tail {
    response: reqwest::Response,
    text: String,
}

impl Tail {
    pub(super) fn new(response: reqwest::Response) -> Tail {
        Tail {
            response,
            text: String::new(),
        }
    }

    /// The next line, without its end. Fails when the session ends, and when nothing comes for so long that nothing will.
    pub async fn next(&mut self) -> Result<String, Lost> {
        loop {
            if let Some((line, rest)) = self.text.split_once('\n') {
                let line = line.to_owned();
                self.text = rest.to_owned();
                return Ok(line);
            }
            let chunk = self.response.chunk().await.map_err(|_| Lost)?;
            self.text
                .push_str(&String::from_utf8_lossy(&chunk.ok_or(Lost)?));
        }
    }

    /// Reads up to the first line with this text, and returns all lines up to it.
    pub async fn until(&mut self, text: &str) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            match self.next().await {
                Ok(line) => lines.push(line),
                Err(Lost) => panic!("{text:?} was not logged, only {lines:#?}"),
            }
            if lines.last().is_some_and(|line| line.contains(text)) {
                return lines;
            }
        }
    }

    /// Reads to the end: whether the other side ended it, rather than that it broke off.
    pub async fn ends_well(&mut self) -> bool {
        loop {
            match self.response.chunk().await {
                Ok(Some(_)) => {}
                Ok(None) => return true,
                Err(_) => return false,
            }
        }
    }

    /// All that is left.
    pub(super) async fn rest(mut self) -> String {
        while let Ok(Some(chunk)) = self.response.chunk().await {
            self.text.push_str(&String::from_utf8_lossy(&chunk));
        }
        self.text
    }
}
