//! `new LANGUAGE ROLE FOLDER` and `build FOLDER`, without the rest of Portcullis.

use std::error::Error;
use std::path::Path;

use portcullis_model::Role;
use portcullis_project::{NewProject, Project, create};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["new", language, role, folder] => {
            let role = match *role {
                "detector" => Role::Detector,
                "rule" => Role::Rule,
                _ => Role::Router,
            };
            let folder = Path::new(folder);
            let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or("plugin");
            let files = create(&NewProject { name, language: language.parse()?, role, folder })?;
            println!("{} files", files.len());
        }
        ["build", folder] => {
            let built = Project::open(Path::new(folder))?.build(&|text| println!("{text}"))?;
            println!(
                "{} {} bytes, asks {:?}, {:?}",
                built.path.display(),
                built.component.len(),
                built.asks,
                built.took
            );
        }
        _ => return Err("new LANGUAGE ROLE FOLDER | build FOLDER".into()),
    }
    Ok(())
}
