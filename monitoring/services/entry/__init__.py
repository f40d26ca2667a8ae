"""Facts taken in at every door: results, patients, treatments, observations; compared with what stands, or refused."""
