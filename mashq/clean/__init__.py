"""Arabic social text made fit for training: one function per rule, each with a reason and a count.

    profile = open_profile("social", {"emoji": {"do": "name"}})
    cleaned = clean(["@user شكرااااا 😂 https://t.co/x"], profile)

`RULES` says what each rule does and its settings; the profiles and the order of rules stand in
mashq/data/clean/profiles.yaml. Telephone numbers and addresses are removed as noise here; whether a person can be told
from what is left is for mashq.privacy.
"""

from mashq.clean.catalogue import RULES
from mashq.clean.cleaning import Cleaned, clean
from mashq.clean.profile import Profile, open_profile
from mashq.clean.rule import Count, Rule

__all__ = ["RULES", "Cleaned", "Count", "Profile", "Rule", "clean", "open_profile"]
