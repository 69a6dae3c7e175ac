//! `[experiment]`, and the `experiment` table of a deploy that changes some of its keys.
//!
//! Owns the keys and the mapping of what the core refuses to the place of the key it is about. What makes an experiment
//! valid, and what one version may change of another, is the core's business.

use std::collections::BTreeSet;

use hookproof_core::experiment::change::{self, Misnaming, Operation};
use hookproof_core::experiment::{
    Experiment, Exposed, Field, GrantSpec, HashSpec, Phase, Spec, SpecError, VariantSpec,
};

use super::super::form::{Form, Need};
use super::tree::{Flaw, Placed, Reader};
use super::units;

/// A valid experiment.
pub(super) struct Base {
    pub(super) experiment: Experiment,
    pub(super) true_lift: f64,
}

/// Reads `[experiment]`.
pub(super) fn base(mut reader: Reader<'_>) -> Option<Base> {
    let true_lift = reader.get("true-lift", units::number_in(-1e6..=1e6)).unwrap_or(0.0);
    let (spec, variants) = spec(&mut reader, None, None, &Rules::Scenario);
    reader.finish();
    let experiment = validated(spec?, &reader, &variants)?;
    Some(Base { experiment, true_lift })
}

/// How strictly the table is read, and the secret that stands elsewhere.
pub(super) enum Rules {
    /// What is left out has a default.
    Scenario,
    /// A scenario's, or a hook's that was checked before.
    Lenient(Option<Vec<u8>>),
    /// A hook's: what names the promise must be written down, and the hash is keyed unless the other one is asked for.
    Hook(Option<Vec<u8>>),
}

/// Reads an `[experiment]` under `rules`. What names a secret that stands elsewhere was read before.
pub(super) fn under(mut reader: Reader<'_>, rules: &Rules) -> Option<Experiment> {
    if !matches!(rules, Rules::Hook(_)) {
        let _: Option<f64> = reader.get("true-lift", units::number_in(-1e6..=1e6));
    }
    let (spec, variants) = spec(&mut reader, None, None, rules);
    reader.finish();
    validated(spec?, &reader, &variants)
}

/// Reads the `experiment` table of a deploy of `version` after `before`: keys that are not there keep their value, but
/// for `operations`, which names this change and no other.
pub(super) fn changed(mut reader: Reader<'_>, before: &Experiment, version: &Placed<String>) -> Option<Experiment> {
    // A default that hangs on `id` keeps its value as well, even where `id` itself is changed.
    let mut kept = before.spec().clone();
    kept.lineage.get_or_insert_with(|| before.id().to_owned());
    kept.salt.get_or_insert_with(|| before.id().to_owned());

    let (spec, variants) = spec(&mut reader, Some(&kept), Some(&version.value), &Rules::Scenario);
    reader.finish_with(|key| {
        let remedy = "remove it; the true lift is a property of the whole scenario";
        (key == "true-lift").then(|| Flaw::new("a deploy can't change `true-lift`", remedy))
    });
    let experiment = validated(spec?, &reader, &variants)?;
    let flaws = flaws_of_change(before, &experiment);
    for (field, cause, remedy) in &flaws {
        let (owner, key) = place(*field, &reader, &variants);
        let place = if key == "version" { version.place.clone() } else { owner.place_of(key) };
        reader.sink().flaw(&place, Flaw::new(cause, *remedy));
    }
    flaws.is_empty().then_some(experiment)
}

/// Why the change must not be made, a reshuffle that is not named, and names of what does not happen. The other
/// operations need no name here: what they do stands in the same table.
fn flaws_of_change(before: &Experiment, after: &Experiment) -> Vec<(Field, String, &'static str)> {
    let change = match change::between(before, after) {
        Ok(change) => change,
        Err(refusals) => {
            let flaws = refusals.iter().map(|refusal| (refusal.field(), refusal.to_string(), refusal.remedy()));
            return flaws.collect();
        }
    };
    let misnamings = change::naming(&change.operations, after.operations()).into_iter();
    let flaws = misnamings.filter_map(|misnaming| {
        let field = match misnaming {
            Misnaming::Unnamed(Operation::Reshuffle) => Field::Salt,
            Misnaming::Absent(_) => Field::Operations,
            Misnaming::Unnamed(
                Operation::Ramp | Operation::Reweight | Operation::AddArm | Operation::BlockExposed | Operation::End,
            ) => return None,
        };
        Some((field, misnaming.to_string(), misnaming.remedy()))
    });
    flaws.collect()
}

type Variants<'a> = Vec<Reader<'a>>;

/// The specification as written, over `kept`, and the readers of its variants.
fn spec<'a>(
    reader: &mut Reader<'a>,
    kept: Option<&Spec>,
    version: Option<&str>,
    rules: &Rules,
) -> (Option<Spec>, Variants<'a>) {
    let id = match kept {
        None => reader.need("id", "\"my-experiment\"", units::text),
        Some(kept) => Some(reader.get("id", units::text).unwrap_or_else(|| kept.id.clone())),
    };
    if matches!(rules, Rules::Hook(_)) {
        let _: Option<String> = reader.need("namespace", "\"prod\"", units::text);
        let _: Option<String> = reader.need("lineage", "\"my-experiment\"", units::text);
    }
    let namespace = reader.get("namespace", units::text).or_else(|| kept.map(|kept| kept.namespace.clone()));
    let lineage = reader.get("lineage", units::text).or_else(|| kept.and_then(|kept| kept.lineage.clone()));
    let salt = reader.get("salt", units::text).or_else(|| kept.and_then(|kept| kept.salt.clone()));
    let coverage = reader.get("coverage", units::probability).map(super::Probability::ppm);
    let written_version = reader.placed("version", units::version);
    check_versions_agree(reader, written_version.as_ref(), version);
    let version = version.map(str::to_owned).or(written_version.map(|version| version.value));
    let hash = match rules {
        Rules::Scenario | Rules::Lenient(None) => hash(reader, kept),
        Rules::Lenient(Some(secret)) => hash_of_hook(reader, Some(secret)),
        Rules::Hook(secret) => hash_of_hook(reader, secret.as_deref()),
    };
    let generation = reader.get("generation", units::integer(0..=u8::MAX));
    let exposed = reader.get("exposed", units::choice("a policy for exposed users", EXPOSED));
    let phase = reader.get("phase", units::choice("a phase", PHASES));
    let operations = operations(reader);
    let (written, readers) = variants(reader, kept.is_none());

    let assemble = || {
        Some(Spec {
            id: id?,
            namespace: namespace.unwrap_or_else(|| "sim".to_owned()),
            lineage,
            version: version.unwrap_or_else(|| "1".to_owned()),
            hash,
            salt,
            coverage_ppm: coverage.or_else(|| kept.map(|kept| kept.coverage_ppm)).unwrap_or(1_000_000),
            variants: match kept {
                Some(kept) if readers.is_empty() => kept.variants.clone(),
                Some(_) | None => written?,
            },
            generation: generation.or_else(|| kept.map(|kept| kept.generation)).unwrap_or(0),
            exposed: exposed.or_else(|| kept.map(|kept| kept.exposed)).unwrap_or(Exposed::Keep),
            phase: phase.or_else(|| kept.map(|kept| kept.phase)).unwrap_or(Phase::Running),
            operations,
        })
    };
    (assemble(), readers)
}

const EXPOSED: [(&str, Exposed); 2] = [("keep", Exposed::Keep), ("block", Exposed::Block)];

const PHASES: [(&str, Phase); 2] = [("running", Phase::Running), ("ended", Phase::Ended)];

/// The operations that the file names. Each word that is none is reported at its own place.
fn operations(reader: &mut Reader<'_>) -> BTreeSet<Operation> {
    let words = Operation::ALL.map(Operation::name);
    reader.takes("operations", Form::List(Box::new(Form::Word(words.to_vec())), usize::MAX));
    let Some(node) = reader.node("operations") else { return BTreeSet::new() };
    let Some(entries) = node.get_ref().as_array() else {
        let cause = format!("`operations`: expected an array, found {}", units::found(node.get_ref()));
        reader.sink().flaw(&node.span(), Flaw::new(cause, "write it as `[\"ramp\"]`"));
        return BTreeSet::new();
    };
    let parse = units::choice("an operation", Operation::ALL.map(|operation| (operation.name(), operation)));
    let mut operations = BTreeSet::new();
    for entry in entries {
        match parse(entry.get_ref()) {
            Ok(operation) => drop(operations.insert(operation)),
            Err(flaw) => reader.sink().flaw(&entry.span(), flaw),
        }
    }
    operations
}

fn check_versions_agree(reader: &Reader<'_>, written: Option<&Placed<String>>, deployed: Option<&str>) {
    if let (Some(written), Some(deployed)) = (written, deployed)
        && written.value != deployed
    {
        let cause = "`version` differs from the `version` that the fault deploys";
        reader.sink().flaw(&written.place, Flaw::new(cause, "remove it here; the fault's `version` is enough"));
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum HashName {
    Plain,
    Keyed,
}

const HASHES: [(&str, HashName); 2] = [("sha256-v1", HashName::Plain), ("hmac-sha256-v1", HashName::Keyed)];

/// Keyed by a secret in the table or by one that stands `elsewhere`, unless the other hash is asked for.
fn hash_of_hook(reader: &mut Reader<'_>, elsewhere: Option<&[u8]>) -> HashSpec {
    let name = reader.placed("hash", units::choice("a hash", HASHES));
    let written = reader.placed("secret", units::filled_text);
    let secret = written.map(|secret| secret.value.into_bytes()).or_else(|| elsewhere.map(<[u8]>::to_vec));
    let named: Vec<_> = ["secret", "secret-file", "secret-env"].into_iter().filter(|key| reader.has(key)).collect();
    let names_secret = named.first().copied();
    if let ["secret", elsewhere, ..] = named[..] {
        let cause = format!("`secret` and `{elsewhere}` name the same secret");
        reader.sink().flaw(&reader.place_of("secret"), Flaw::new(cause, "keep one of them"));
    }
    match (name, secret) {
        (Some(Placed { value: HashName::Plain, .. }), _) => {
            if let Some(key) = names_secret {
                let cause = format!("`{key}` is not used by the hash `sha256-v1`");
                let remedy = "remove it, or remove `hash`: with a secret it is `hmac-sha256-v1`";
                reader.sink().flaw(&reader.place_of(key), Flaw::new(cause, remedy));
            }
            HashSpec::Sha256V1
        }
        (_, Some(secret)) => HashSpec::HmacSha256V1 { secret },
        (_, None) => {
            // One that could not be read was reported.
            if names_secret.is_none() && reader.is_present() {
                let cause =
                    format!("{} has no secret, so that anybody could compute who is in which variant", reader.name());
                let remedy = "add `secret-file = \"experiment.secret\"` (`openssl rand -hex 32` makes one), or ask for `hash = \"sha256-v1\"`";
                reader.sink().gap(reader.place(), Flaw::new(cause, remedy));
            }
            HashSpec::Sha256V1
        }
    }
}

fn hash(reader: &mut Reader<'_>, kept: Option<&Spec>) -> HashSpec {
    let name = reader.get("hash", units::choice("a hash", HASHES));
    let secret = reader.placed("secret", units::filled_text);
    let kept = kept.map_or(HashSpec::Sha256V1, |kept| kept.hash.clone());
    let is_keyed = match name {
        Some(name) => name == HashName::Keyed,
        None => matches!(kept, HashSpec::HmacSha256V1 { .. }),
    };
    match (is_keyed, secret, kept) {
        (true, Some(secret), _) => HashSpec::HmacSha256V1 { secret: secret.value.into_bytes() },
        (true, None, HashSpec::HmacSha256V1 { secret }) => HashSpec::HmacSha256V1 { secret },
        (true, None, HashSpec::Sha256V1) => {
            let cause = "`hash = \"hmac-sha256-v1\"` needs a `secret`";
            reader.sink().gap(&reader.place_of("hash"), Flaw::new(cause, "add `secret = \"…\"`"));
            HashSpec::Sha256V1
        }
        (false, Some(secret), _) => {
            let remedy = "remove it, or set `hash = \"hmac-sha256-v1\"`";
            reader.sink().flaw(&secret.place, Flaw::new("`secret` is not used by the hash `sha256-v1`", remedy));
            HashSpec::Sha256V1
        }
        (false, None, _) => HashSpec::Sha256V1,
    }
}

/// The variants as written, if all of them are whole, and their readers.
fn variants<'a>(reader: &mut Reader<'a>, is_needed: bool) -> (Option<Vec<VariantSpec>>, Variants<'a>) {
    let mut readers = reader.tables("variant", "[[experiment.variant]]");
    if is_needed {
        reader.needs(Need::Some(&["variant"]));
    }
    if is_needed && reader.is_present() && reader.node("variant").is_none() {
        let cause = format!("`variant` is missing in {}", reader.name());
        let remedy = "add at least two [[experiment.variant]] tables with `name` and `weight`";
        reader.sink().gap(reader.place(), Flaw::new(cause, remedy));
        return (None, readers);
    }
    // Every variant is read, also after one that is broken.
    let variants: Vec<_> = readers.iter_mut().map(variant).collect();
    (variants.into_iter().collect(), readers)
}

fn variant(reader: &mut Reader<'_>) -> Option<VariantSpec> {
    let name = reader.need("name", "\"control\"", units::text);
    let weight = reader.need("weight", "50", units::integer(0..=u32::MAX));
    let grant = reader.get("grant", units::integer(0..=u32::MAX));
    let effect = reader.placed("effect", units::text);
    let has_grant = reader.has("grant");
    if let (Some(effect), false) = (&effect, has_grant) {
        let remedy = "add `grant = 25` (units), or remove `effect`";
        reader.sink().flaw(&effect.place, Flaw::new("`effect` means nothing without `grant`", remedy));
    }
    reader.finish();
    let effect = effect.map_or_else(|| "quota-increase".to_owned(), |effect| effect.value);
    Some(VariantSpec { name: name?, weight: weight?, grant: grant.map(|units| GrantSpec { units, effect }) })
}

fn validated(spec: Spec, reader: &Reader<'_>, variants: &[Reader<'_>]) -> Option<Experiment> {
    let report = |error: &SpecError| {
        let (owner, key) = place(error.field(), reader, variants);
        reader.sink().flaw(&owner.place_of(key), Flaw::new(error.to_string(), error.remedy()));
    };
    Experiment::new(spec).map_err(|errors| errors.iter().for_each(report)).ok()
}

/// The table and key that a field of the core's specification stands in.
fn place<'r, 'a>(field: Field, reader: &'r Reader<'a>, variants: &'r [Reader<'a>]) -> (&'r Reader<'a>, &'static str) {
    let of = |index: usize| variants.get(index).unwrap_or(reader);
    match field {
        Field::Id => (reader, "id"),
        Field::Namespace => (reader, "namespace"),
        Field::Lineage => (reader, "lineage"),
        Field::Version => (reader, "version"),
        Field::Hash => (reader, "hash"),
        Field::Secret => (reader, "secret"),
        Field::Salt => (reader, "salt"),
        Field::Coverage => (reader, "coverage"),
        Field::Variants => (reader, "variant"),
        Field::Generation => (reader, "generation"),
        Field::Exposed => (reader, "exposed"),
        Field::Operations => (reader, "operations"),
        Field::VariantName(index) => (of(index), "name"),
        Field::VariantWeight(index) => (of(index), "weight"),
        Field::VariantGrant(index) => (of(index), "grant"),
        Field::VariantEffect(index) => (of(index), "effect"),
    }
}
