//! Tables, files and the run driver.
