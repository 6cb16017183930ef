import torch

from fabricgen.carbon.form_fields import Field


def test_a_field_sums_its_map():
    assert Field(torch.ones(2, 3, 4)).total.tolist() == [12, 12]
