//! Manifests: the layout of WebAssembly artifacts that the CNCF's runtime group describes and `wkg` reads, and the one that
//! cosign keeps signatures in.

use std::collections::BTreeMap;

use portcullis_model::Digest;
use serde::{Deserialize, Serialize};
use serde_json::json;
use wasmparser::{Parser, Payload};

use crate::error::Error;
use crate::signature::{ANNOTATION, MOST_SIGNATURES, PAYLOAD_TYPE};
use crate::{MAX_PLUGIN_BYTES, OciReference};

pub(crate) const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
/// What a client can be answered with; the others are refused with a better message than "not found".
pub(crate) const ACCEPT: &str = "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, \
                                 application/vnd.docker.distribution.manifest.v2+json";
const WASM_CONFIG_TYPE: &str = "application/vnd.wasm.config.v0+json";
const WASM_TYPE: &str = "application/wasm";
const IMAGE_CONFIG_TYPE: &str = "application/vnd.oci.image.config.v1+json";

/// An OCI image manifest.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Manifest {
    schema_version: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    media_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    artifact_type: Option<String>,
    pub config: Descriptor,
    pub layers: Vec<Descriptor>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    annotations: Option<BTreeMap<String, String>>,
}

/// A blob that a manifest names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Descriptor {
    pub media_type: String,
    pub digest: String,
    pub size: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub annotations: Option<BTreeMap<String, String>>,
}

/// The plugin in a manifest.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layer {
    pub digest: Digest,
    pub size: u64,
}

impl Descriptor {
    fn of(media_type: &str, bytes: &[u8]) -> Self {
        let digest = Digest::of(bytes).to_string();
        Self { media_type: media_type.to_owned(), digest, size: bytes.len() as u64, annotations: None }
    }
}

/// The plugin that a manifest holds: exactly one layer of WebAssembly, whatever its configuration.
pub(crate) fn plugin(reference: &OciReference, bytes: &[u8]) -> Result<Layer, Error> {
    let fail = |why: String| Error::NotPlugin { reference: reference.to_string(), why };
    let manifest = read(bytes).map_err(fail)?;
    let [layer] = manifest.layers.as_slice() else {
        return Err(fail(format!("its manifest has {} layers, not one of {WASM_TYPE}", manifest.layers.len())));
    };
    if layer.media_type != WASM_TYPE {
        return Err(fail(format!("its layer is {:?}, not {WASM_TYPE}", shortened(&layer.media_type))));
    }
    if layer.size > MAX_PLUGIN_BYTES {
        return Err(fail(format!("it is {} bytes large; at most {MAX_PLUGIN_BYTES} are taken", layer.size)));
    }
    let digest = layer.digest.parse().map_err(|_| fail("its layer has no SHA-256 digest".to_owned()))?;
    Ok(Layer { digest, size: layer.size })
}

fn read(bytes: &[u8]) -> Result<Manifest, String> {
    #[derive(Deserialize)]
    struct Kind {
        manifests: Option<serde::de::IgnoredAny>,
    }
    if serde_json::from_slice::<Kind>(bytes).is_ok_and(|kind| kind.manifests.is_some()) {
        return Err("it is an index of several artifacts; name one of them by its digest".to_owned());
    }
    let manifest: Manifest =
        serde_json::from_slice(bytes).map_err(|error| format!("its manifest cannot be read: {error}"))?;
    match manifest.media_type.as_deref() {
        _ if manifest.schema_version != 2 => Err("its manifest is not of schema version 2".to_owned()),
        None | Some(MANIFEST_TYPE) => Ok(manifest),
        Some(other) => Err(format!("its manifest is {:?}, not {MANIFEST_TYPE}", shortened(other))),
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(100).collect()
}

/// The configuration and the manifest of a plugin. The same file gives the same bytes, wherever and whenever: hence the time.
pub(crate) fn wrap(wasm: &[u8]) -> Result<(Vec<u8>, Vec<u8>), String> {
    let (imports, exports) = names(wasm)?;
    let config = json!({
        "created": "1970-01-01T00:00:00Z",
        "architecture": "wasm",
        "os": "wasip2",
        "layerDigests": [Digest::of(wasm)],
        "component": { "exports": exports, "imports": imports, "target": null },
    });
    let config = config.to_string().into_bytes();
    let manifest = Manifest {
        schema_version: 2,
        media_type: Some(MANIFEST_TYPE.to_owned()),
        artifact_type: None,
        config: Descriptor::of(WASM_CONFIG_TYPE, &config),
        layers: vec![Descriptor::of(WASM_TYPE, wasm)],
        annotations: None,
    };
    let manifest = serde_json::to_vec(&manifest).map_err(|error| error.to_string())?;
    Ok((config, manifest))
}

/// What a component imports and exports.
fn names(wasm: &[u8]) -> Result<(Vec<String>, Vec<String>), String> {
    let (mut imports, mut exports, mut depth) = (Vec::new(), Vec::new(), 0_usize);
    let broken =
        |error: wasmparser::BinaryReaderError| format!("it is not WebAssembly, or damaged: {}", error.message());
    for payload in Parser::new(0).parse_all(wasm) {
        match payload.map_err(broken)? {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentImportSection(section) if depth == 0 => {
                for import in section {
                    imports.push(import.map_err(broken)?.name.name.to_owned());
                }
            }
            Payload::ComponentExportSection(section) if depth == 0 => {
                for export in section {
                    exports.push(export.map_err(broken)?.name.name.to_owned());
                }
            }
            _ => {}
        }
    }
    Ok((imports, exports))
}

/// The signatures in a manifest: where each payload is, and its signature in base64.
pub(crate) fn signatures(bytes: &[u8]) -> Result<Vec<(Descriptor, String)>, String> {
    let manifest = read(bytes)?;
    let signed = manifest.layers.into_iter().filter(|layer| layer.media_type == PAYLOAD_TYPE);
    let signed = signed.filter_map(|layer| {
        let signature = layer.annotations.as_ref()?.get(ANNOTATION)?.clone();
        Some((layer, signature))
    });
    Ok(signed.take(MOST_SIGNATURES).collect())
}

/// The configuration and the manifest with a further signature.
pub(crate) fn with_signature(
    mut layers: Vec<(Descriptor, String)>,
    payload: &[u8],
    signature: String,
) -> Result<(Vec<u8>, Vec<u8>), String> {
    layers.push((Descriptor::of(PAYLOAD_TYPE, payload), signature));
    let layers = layers.into_iter().map(|(layer, signature)| {
        let annotations = layer.annotations.unwrap_or_default().into_iter().chain([(ANNOTATION.to_owned(), signature)]);
        Descriptor { annotations: Some(annotations.collect()), ..layer }
    });
    let layers: Vec<Descriptor> = layers.collect();
    let config = json!({
        "architecture": "",
        "created": "1970-01-01T00:00:00Z",
        "os": "",
        "config": {},
        "rootfs": { "type": "layers", "diff_ids": layers.iter().map(|layer| &layer.digest).collect::<Vec<_>>() },
    });
    let config = config.to_string().into_bytes();
    let manifest = Manifest {
        schema_version: 2,
        media_type: Some(MANIFEST_TYPE.to_owned()),
        artifact_type: None,
        config: Descriptor::of(IMAGE_CONFIG_TYPE, &config),
        layers,
        annotations: None,
    };
    let manifest = serde_json::to_vec(&manifest).map_err(|error| error.to_string())?;
    Ok((config, manifest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(manifest: &str) -> String {
        let reference = OciReference { host: "h".into(), repository: "r".into(), tag: Some("1".into()), digest: None };
        plugin(&reference, manifest.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn what_is_no_plugin_says_why() {
        let layer = |kind: &str, size: u64, digest: &str| {
            format!(
                r#"{{"schemaVersion":2,"config":{{"mediaType":"a","digest":"b","size":1}},"layers":[{{"mediaType":"{kind}","digest":"{digest}","size":{size}}}]}}"#
            )
        };
        let good = Digest::of(b"x").to_string();
        assert!(refused("{}").contains("cannot be read"));
        assert!(refused("[").contains("cannot be read"));
        assert!(refused(r#"{"schemaVersion":2,"manifests":[]}"#).contains("index"));
        assert!(
            refused(&layer(WASM_TYPE, 1, &good).replace("\"schemaVersion\":2", "\"schemaVersion\":1"))
                .contains("schema")
        );
        assert!(
            refused(&layer("application/vnd.oci.image.layer.v1.tar+gzip", 1, &good)).contains("not application/wasm")
        );
        assert!(refused(&layer(WASM_TYPE, 1 << 40, &good)).contains("at most"));
        assert!(refused(&layer(WASM_TYPE, 1, "sha512:00")).contains("SHA-256"));
        assert!(refused(&layer(WASM_TYPE, 1, "../../etc/passwd")).contains("SHA-256"));
        assert!(
            refused(&layer(WASM_TYPE, 1, &good).replace("\"layers\":[", "\"layers\":[],\"x\":[")).contains("0 layers")
        );
    }
}
