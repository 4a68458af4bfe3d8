//! What the program takes before it does anything: the size of its image, how long the API starts, the memory of both processes at rest.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use kube::Client;
use tokio::time::sleep;

use crate::installation::Installation;
use crate::objects::controller_kubeconfig;
use crate::process::output;
use crate::report::{Figure, Samples};
use crate::{Choice, Outcome, cpu, say};

pub(crate) const IMAGE_FIGURES: &[&str] = &["image_mib"];
pub(crate) const API_FIGURES: &[&str] = &["api_cold_start_ms", "api_idle_mib"];
pub(crate) const CONTROLLER_FIGURES: &[&str] = &["controller_idle_mib"];

/// Starts of the API, each a process of its own.
const STARTS: usize = 15;
/// At rest for this long before memory is read: long enough for every job that runs by the second to have run.
const REST: Duration = Duration::from_secs(20);
const MIB: f64 = 1024.0 * 1024.0;

/// The layers of the archive that `hack/image` wrote: as a node stores them, and compressed as a registry does.
pub(crate) async fn image(installation: &Installation) -> Outcome<Vec<Figure>> {
    let archive = installation.dir.join("image.tar");
    let manifest =
        output(Command::new("tar").args(["-xOf".as_ref(), archive.as_os_str(), "manifest.json".as_ref()])).await?;
    let manifest: serde_json::Value = serde_json::from_str(&manifest)?;
    let layers = manifest[0]["Layers"]
        .as_array()
        .ok_or("manifest.json of the image names no layers")?;
    let (mut stored, mut transferred) = (0.0, 0.0);
    for layer in layers {
        let layer = layer.as_str().ok_or("a layer without a name")?;
        // An engine may keep layers compressed in its archive; 'gzip -dcf' passes on what is not.
        stored += layer_bytes(&archive, layer, "gzip -dcf").await?;
        transferred += layer_bytes(&archive, layer, "gzip -dcf | gzip -c").await?;
    }
    Ok(vec![
        Figure::new("image_mib", stored / MIB, "MiB", layers.len() as u64)
            .with("aim", 60)
            .with_number("compressed", transferred / MIB),
    ])
}

/// From the start of the process until `/readyz` says yes, with the database there and migrated; and its memory when nobody asks anything.
pub(crate) async fn api(installation: &Installation, choice: &Choice) -> Outcome<Vec<Figure>> {
    let mut figures = Vec::new();
    if choice.has("api_cold_start_ms") {
        let mut starts = Samples::default();
        for _ in 0..STARTS {
            let started = Instant::now();
            let api = installation.start_api().await?;
            starts.push(started.elapsed().as_secs_f64() * 1000.0);
            api.stop().await?;
        }
        figures.push(starts.median("api_cold_start_ms", "ms").with("aim", 2000));
    }
    if choice.has("api_idle_mib") {
        let mut api = installation.start_api().await?;
        say(format!("footprint: the API rests for {} s", REST.as_secs()));
        sleep(REST).await;
        api.check()?;
        figures.push(memory("api_idle_mib", api.pid())?);
        api.stop().await?;
    }
    Ok(figures)
}

/// The memory of a controller that leads, in a cluster with nothing to do.
pub(crate) async fn controller(installation: &Installation) -> Outcome<Vec<Figure>> {
    let kubeconfig = controller_kubeconfig(&Client::try_default().await?, installation).await?;
    let mut controller = installation.start_controller(&kubeconfig)?;
    installation.compared(&mut controller).await?;
    say(format!("footprint: the controller rests for {} s", REST.as_secs()));
    sleep(REST).await;
    controller.check()?;
    let figure = memory("controller_idle_mib", controller.pid())?;
    controller.stop().await?;
    Ok(vec![figure])
}

/// All that is resident, and beside it the part that is the process's own: not pages of the program's file.
fn memory(figure: &'static str, pid: u32) -> Outcome<Figure> {
    Ok(Figure::new(figure, cpu::resident_mib(pid)?, "MiB", 1)
        .with("aim", 40)
        .with_number("own", cpu::anonymous_mib(pid)?)
        .with_number("peak", cpu::peak_mib(pid)?))
}

/// Bytes that come out of a layer behind a pipeline.
async fn layer_bytes(archive: &Path, layer: &str, pipeline: &str) -> Outcome<f64> {
    let script = format!(r#"set -o pipefail; tar -xOf "$1" -- "$2" | {pipeline} | wc -c"#);
    let mut command = Command::new("bash");
    command.args(["-c", &script, "bash"]).arg(archive).arg(layer);
    Ok(output(&mut command).await?.trim().parse()?)
}
