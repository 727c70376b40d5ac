"""Problems as data: reading rows, benchmark items and RL prompts, templates, few-shot prompts."""
