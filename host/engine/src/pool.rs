//! How full the pool of instances is, and what one instance takes of it.

use std::fmt;

use wasmparser::{ComponentInstance, ComponentTypeRef, Instance, Parser, Payload};
use wasmtime::component::Component;
use wasmtime::{Engine, PoolingAllocatorMetrics};

use crate::limits::MAX_INSTANCES;

/// The whole pool; shares of it are counted in parts of this.
pub(crate) const WHOLE: usize = 1_000_000;

/// What the pool holds at most, by kind.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Places {
    pub(crate) components: u32,
    pub(crate) core_instances: u32,
    pub(crate) memories: u32,
    pub(crate) tables: u32,
}

impl Places {
    /// What so many calls at once get.
    pub(crate) fn of(slots: u32) -> Self {
        let slots = slots.max(1);
        let instances = u32::try_from(MAX_INSTANCES).unwrap_or(u32::MAX);
        Self {
            components: slots,
            // A small component has three core instances, an interpreter up to a hundred.
            core_instances: slots.saturating_mul(8).max(instances),
            memories: slots.saturating_mul(2).max(20),
            tables: slots.saturating_mul(4).max(50),
        }
    }
}

/// The pool of an engine.
#[derive(Clone)]
pub(crate) struct Pool {
    places: Places,
    /// None where instances do not come from a pool.
    metrics: Option<PoolingAllocatorMetrics>,
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("places", &self.places).field("used", &self.used()).finish()
    }
}

impl Pool {
    pub(crate) fn new(engine: &Engine, places: Places) -> Self {
        Self { places, metrics: engine.pooling_allocator_metrics() }
    }

    /// What one instance of this component takes, of the kind of which it takes the largest part. `bytes` is the component
    /// that was compiled.
    pub(crate) fn share(&self, component: &Component, bytes: &[u8]) -> usize {
        let Places { components, core_instances, memories, tables } = self.places;
        let needs = component.resources_required();
        let (of_memories, of_tables) = needs.map_or((0, 0), |needs| (needs.num_memories, needs.num_tables));
        let cores = self::core_instances(bytes).unwrap_or(MAX_INSTANCES);
        part(1, components)
            .max(part(cores, core_instances))
            .max(part(of_memories as usize, memories))
            .max(part(of_tables as usize, tables))
    }

    /// What is taken now, of the kind of which the largest part is; by calls, and by instances that wait for one.
    pub(crate) fn used(&self) -> usize {
        let Some(metrics) = &self.metrics else { return 0 };
        let count = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
        let Places { components, core_instances, memories, tables } = self.places;
        part(count(metrics.component_instances()), components)
            .max(part(count(metrics.core_instances()), core_instances))
            .max(part(metrics.memories(), memories))
            .max(part(metrics.tables(), tables))
    }

    /// Core instances that are taken now.
    #[cfg(test)]
    pub(crate) fn core_instances(&self) -> usize {
        self.metrics.as_ref().map_or(0, |metrics| usize::try_from(metrics.core_instances()).unwrap())
    }
}

fn part(of: usize, whole: u32) -> usize {
    of.saturating_mul(WHOLE) / usize::try_from(whole.max(1)).unwrap_or(usize::MAX)
}

/// Core instances that one instance of this component is made of. None if it cannot be read.
pub(crate) fn core_instances(component: &[u8]) -> Option<usize> {
    /// A component, or a module, that is being read.
    #[derive(Default)]
    struct Frame {
        instances: usize,
        /// What the components that it can instantiate are made of, in the order of their index.
        components: Vec<usize>,
        is_component: bool,
    }
    let mut frames: Vec<Frame> = Vec::new();
    // A component that comes from elsewhere counts as the largest one that was seen.
    let mut largest = 0;
    let mut outermost = None;
    for payload in Parser::new(0).parse_all(component) {
        match payload.ok()? {
            Payload::Version { encoding, .. } => {
                let is_component = encoding == wasmparser::Encoding::Component;
                frames.push(Frame { is_component, ..Frame::default() });
            }
            Payload::InstanceSection(reader) => {
                let frame = frames.last_mut()?;
                for instance in reader {
                    frame.instances += usize::from(matches!(instance.ok()?, Instance::Instantiate { .. }));
                }
            }
            Payload::ComponentInstanceSection(reader) => {
                let frame = frames.last_mut()?;
                for instance in reader {
                    if let ComponentInstance::Instantiate { component_index, .. } = instance.ok()? {
                        let index = usize::try_from(component_index).unwrap_or(usize::MAX);
                        let known = frame.components.get(index).copied();
                        frame.instances = frame.instances.saturating_add(known.unwrap_or(largest));
                    }
                }
            }
            Payload::ComponentImportSection(reader) => {
                let frame = frames.last_mut()?;
                for import in reader {
                    if matches!(import.ok()?.ty, ComponentTypeRef::Component(_)) {
                        frame.components.push(largest);
                    }
                }
            }
            Payload::ComponentAliasSection(reader) => {
                let frame = frames.last_mut()?;
                for alias in reader {
                    use wasmparser::{ComponentAlias, ComponentExternalKind, ComponentOuterAliasKind};
                    if matches!(
                        alias.ok()?,
                        ComponentAlias::InstanceExport { kind: ComponentExternalKind::Component, .. }
                            | ComponentAlias::Outer { kind: ComponentOuterAliasKind::Component, .. }
                    ) {
                        frame.components.push(largest);
                    }
                }
            }
            Payload::End(_) => {
                let ended = frames.pop()?;
                largest = largest.max(ended.instances);
                match frames.last_mut() {
                    Some(parent) if ended.is_component => parent.components.push(ended.instances),
                    Some(_) => {}
                    None => outermost = Some(ended.instances),
                }
            }
            _ => {}
        }
    }
    outermost
}
