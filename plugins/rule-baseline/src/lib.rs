//! Decides by thresholds on findings and a list of tools that want review.
