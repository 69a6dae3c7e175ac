//! Goal: the algorithm is the published one, byte for byte.
//!
//! Method: 4,000 rows and 211 refused ids that a second, independent implementation computed. Every column of every
//! row is computed again, from the hasher and, where a row's fields also make a permitted experiment, by
//! [`Experiment::assign`]. Byte strings are in hexadecimal (columns `*_hex`), weights are separated by a vertical bar.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use hookproof_core::assignment::{Frame, HashMode, Hasher, InvalidUserId, UserId, Weights, enrol_ppm};
use hookproof_core::experiment::{Experiment, Exposed, GrantSpec, HashSpec, Phase, Spec, VariantSpec};

const VECTOR_COUNT: usize = 4_000;
const INVALID_COUNT: usize = 211;
/// Rows whose lineage reads `namespace/lineage` and which can therefore be declared as an experiment.
const EXPERIMENT_COUNT: usize = 2_912;

/// The results of a row, in the order of [`Row::expected`].
const RESULTS: [&str; 8] = ["r_hex", "total_weight", "point", "variant", "e_hex", "enrol_ppm", "enrolled", "grant_id"];

/// One row of a vector file: its cells by column.
struct Row(BTreeMap<String, String>);

impl Row {
    fn read_all(file: &str) -> Vec<Self> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(file);
        let mut reader = csv::Reader::from_path(path).expect("the vector file is checked in");
        reader.deserialize().map(|row| Self(row.expect("every row has all columns"))).collect()
    }

    fn cell(&self, column: &str) -> &str {
        &self.0[column]
    }

    fn bytes(&self, column: &str) -> Vec<u8> {
        hex::decode(self.cell(column)).expect("the column is hexadecimal")
    }

    fn text(&self, column: &str) -> String {
        String::from_utf8(self.bytes(column)).expect("the column is UTF-8")
    }

    fn coverage_ppm(&self) -> u32 {
        self.cell("coverage_ppm").parse().expect("the coverage is a number")
    }

    fn weights(&self) -> Vec<u32> {
        self.cell("weights").split('|').map(|weight| weight.parse().expect("a weight is a number")).collect()
    }

    fn hash(&self) -> HashSpec {
        match HashMode::from_name(self.cell("mode")).expect("the mode is known") {
            HashMode::Sha256V1 => HashSpec::Sha256V1,
            HashMode::HmacSha256V1 => HashSpec::HmacSha256V1 { secret: self.bytes("secret_hex") },
        }
    }

    fn expected(&self) -> [&str; 8] {
        RESULTS.map(|column| self.cell(column))
    }

    /// The results as text, computed from the hasher.
    fn computed(&self) -> [String; 8] {
        let (salt, lineage, effect) = (self.text("salt_hex"), self.text("lineage_hex"), self.text("effect_hex"));
        let frame = |text| Frame::new(text).expect("a frame holds up to 255 bytes");
        let hasher = match self.hash() {
            HashSpec::Sha256V1 => Hasher::sha256_v1(frame(&salt), frame(&lineage)),
            HashSpec::HmacSha256V1 { secret } => {
                Hasher::hmac_sha256_v1(&secret, frame(&salt), frame(&lineage)).expect("the secret is not empty")
            }
        };
        assert_eq!(hasher.mode().name(), self.cell("mode"));

        let id = self.bytes("user_id_hex");
        let user = UserId::new(&id).expect("the id is permitted");
        let weights = Weights::new(self.weights()).expect("the weights are permitted");
        let assignment_word = hasher.assignment_word(user);
        let enrolment_word = hasher.enrolment_word(user);
        [
            format!("{assignment_word:016x}"),
            weights.total().to_string(),
            weights.point(assignment_word).to_string(),
            weights.pick(assignment_word).to_string(),
            format!("{enrolment_word:016x}"),
            enrol_ppm(enrolment_word).to_string(),
            u8::from(enrol_ppm(enrolment_word) < self.coverage_ppm()).to_string(),
            hasher.grant_id(frame(&effect), user).to_string(),
        ]
    }

    /// The row as an experiment in which every variant is a treatment, unless its lineage has no namespace.
    fn experiment(&self) -> Option<Experiment> {
        let framed_lineage = self.text("lineage_hex");
        let (namespace, lineage) = framed_lineage.split_once('/').filter(|(namespace, _)| !namespace.is_empty())?;
        let effect = self.text("effect_hex");
        let variants = self.weights().into_iter().enumerate().map(|(index, weight)| VariantSpec {
            name: format!("variant-{index}"),
            weight,
            grant: Some(GrantSpec { units: 1, effect: effect.clone() }),
        });
        let spec = Spec {
            id: "golden".to_owned(),
            namespace: namespace.to_owned(),
            lineage: Some(lineage.to_owned()),
            version: self.cell("case").to_owned(),
            hash: self.hash(),
            salt: Some(self.text("salt_hex")),
            coverage_ppm: self.coverage_ppm(),
            variants: variants.collect(),
            generation: 0,
            exposed: Exposed::Keep,
            phase: Phase::Running,
            operations: BTreeSet::new(),
        };
        Some(Experiment::new(spec).expect("the row is a permitted experiment"))
    }
}

#[test]
fn every_column_of_every_vector_is_computed_alike() {
    let rows = Row::read_all("assignment_v1.csv");
    for row in &rows {
        assert_eq!(row.computed(), row.expected(), "case {}, columns {RESULTS:?}", row.cell("case"));
    }
    assert_eq!(rows.len(), VECTOR_COUNT);
}

#[test]
fn an_experiment_assigns_as_the_vectors_say() {
    let mut experiment_count = 0;
    for row in Row::read_all("assignment_v1.csv") {
        let Some(experiment) = row.experiment() else { continue };
        experiment_count += 1;
        let case = row.cell("case");
        assert_eq!(experiment.framed_lineage(), row.text("lineage_hex"), "case {case}");

        let id = row.bytes("user_id_hex");
        let assignment = experiment.assign(UserId::new(&id).unwrap());
        let enrolled = row.cell("enrolled") == "1";
        assert_eq!(assignment.variant.index().to_string(), row.cell("variant"), "case {case}");
        assert_eq!(assignment.enrolled, enrolled, "case {case}");
        let grant_id = enrolled.then(|| row.cell("grant_id").to_owned());
        assert_eq!(assignment.grant.map(|grant| grant.to_string()), grant_id, "case {case}");
    }
    assert_eq!(experiment_count, EXPERIMENT_COUNT);
}

#[test]
fn every_invalid_id_is_refused_with_its_reason() {
    let rows = Row::read_all("assignment_v1_invalid.csv");
    for row in &rows {
        let (case, id) = (row.cell("case"), row.bytes("user_id_hex"));
        assert_eq!(id.len().to_string(), row.cell("length"), "case {case}");
        let reason = match UserId::new(&id).expect_err("the id must be refused") {
            InvalidUserId::Empty => "empty",
            InvalidUserId::TooLong => "too_long",
            InvalidUserId::NotUtf8 => "not_utf8",
            InvalidUserId::Control => "control",
        };
        // `several`: more than one reason holds, and any of them may be told.
        assert!([reason, "several"].contains(&row.cell("reason")), "case {case}: refused as {reason}");
    }
    assert_eq!(rows.len(), INVALID_COUNT);
}
