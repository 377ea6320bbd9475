//! PEM: the base64 blocks in a text, as tolerant as Kafka's own reader.
//!
//! Properties files join lines, so a block may stand on one line, with blanks where line ends were, or without any.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// One block.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Block {
    /// What stands after BEGIN, such as `CERTIFICATE`.
    pub(super) label: String,
    /// What it holds.
    pub(super) der: Vec<u8>,
}

/// The blocks of a text in their order.
pub(super) fn blocks(text: &str) -> Result<Vec<Block>, String> {
    const BEGIN: &str = "-----BEGIN ";
    let (mut blocks, mut rest) = (Vec::new(), text);
    while let Some((_, after)) = rest.split_once(BEGIN) {
        let (label, after) = after.split_once("-----").ok_or("a PEM block's first line does not end in -----")?;
        let end = format!("-----END {label}-----");
        let (body, after) = after.split_once(&end).ok_or_else(|| format!("a PEM block has no {end}"))?;
        if body.contains(':') {
            return Err(format!(
                "a block of {label} is encrypted the old way (it has headers): convert the key with `openssl pkcs8 -topk8`"
            ));
        }
        let packed: String = body.split_whitespace().collect();
        let der = STANDARD.decode(packed).map_err(|error| format!("a block of {label} is no base64: {error}"))?;
        blocks.push(Block { label: label.trim().to_owned(), der });
        rest = after;
    }
    Ok(blocks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_found_on_many_lines_and_on_one() {
        for text in [
            "noise\n-----BEGIN CERTIFICATE-----\r\nAQ\r\nID\r\n-----END CERTIFICATE-----\n-----BEGIN X Y-----\nBA==\n-----END X Y-----",
            "-----BEGIN CERTIFICATE----- AQ ID -----END CERTIFICATE----- -----BEGIN X Y-----BA==-----END X Y-----",
        ] {
            let found: Vec<(String, Vec<u8>)> = blocks(text).unwrap().into_iter().map(|b| (b.label, b.der)).collect();
            assert_eq!(found, [("CERTIFICATE".to_owned(), vec![1, 2, 3]), ("X Y".to_owned(), vec![4])]);
        }
    }

    #[test]
    fn what_is_cut_or_changed_is_an_error() {
        let error = |text: &str| blocks(text).err().unwrap();
        assert!(error("-----BEGIN CERTIFICATE-----\nAQID").contains("has no -----END CERTIFICATE-----"));
        assert!(error("-----BEGIN A-----\n!!\n-----END A-----").contains("is no base64"));
        assert!(
            error("-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nAQID\n-----END RSA PRIVATE KEY-----")
                .contains("openssl pkcs8 -topk8")
        );
        assert!(blocks("").unwrap().is_empty());
    }
}
