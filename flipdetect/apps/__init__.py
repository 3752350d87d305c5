"""What people and machines talk to. Apps hold no logic of their own: one predictor, one `extract_pages`, shared."""
