"""OctoLab: can reinforcement learning scale on this base model, and if not, how do I make it so?"""

__version__ = "0.1.0"
